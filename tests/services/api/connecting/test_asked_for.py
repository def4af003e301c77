"""What an account's owner is asked for."""

import pytest

from rapport.domain.errands import ABLE, MESSAGED
from services.api.connecting.vendors.table import VENDORS
from services.api.connecting.vendors.vendor import Permission

ASKED = [
    pytest.param(vendor.platform, permission, id=f"{name}-{permission.scope}")
    for name, vendor in VENDORS.items()
    for permission in vendor.permissions
]


@pytest.mark.parametrize(("platform", "permission"), ASKED)
def test_nobody_is_asked_to_allow_what_rapport_does_not_do(platform: str, permission: Permission) -> None:
    if "answer" in permission.purpose:
        assert "answer" in ABLE.get(platform, frozenset())
        assert "message" not in permission.purpose or platform in MESSAGED


def test_whether_a_page_is_managed_through_a_business_portfolio_nobody_can_see_so_its_permission_may_be_left_out() -> (
    None
):
    asked = {each.scope: each.needed for each in VENDORS["instagram-facebook"].permissions}
    assert asked["ads_read"] is False
