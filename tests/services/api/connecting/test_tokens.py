"""When tokens are renewed, when it is tried again, and when an account ends."""

from datetime import UTC, datetime, timedelta

import pytest

from services.api.connecting.tokens import LAST_TRY, can_renew, due_at, ends_at, hash_of, is_time, next_try
from services.api.connecting.vendors.table import VENDORS

NOW = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


def test_a_token_is_renewed_when_a_third_of_its_life_is_left() -> None:
    assert due_at(NOW + 2 * HOUR, NOW - HOUR) == NOW + HOUR
    assert due_at(NOW + timedelta(days=60), NOW) == NOW + timedelta(days=40)
    # Nobody knows since when it is valid: as if it lasted an hour.
    assert due_at(NOW, None) == NOW - HOUR / 3
    assert due_at(NOW, NOW + HOUR) == NOW - HOUR / 3


def test_what_is_renewed_ends_with_its_consent_and_what_is_not_with_its_token() -> None:
    token, consent = NOW + HOUR, NOW + timedelta(days=300)
    assert ends_at(token, None, renewable=True, attention=False) is None
    assert ends_at(token, consent, renewable=True, attention=False) == consent
    assert ends_at(token, consent, renewable=True, attention=True) == token
    assert ends_at(token, consent, renewable=False, attention=False) == token
    assert ends_at(None, consent, renewable=False, attention=False) == consent
    assert ends_at(None, None, renewable=False, attention=False) is None


def test_it_is_tried_again_more_and_more_seldom() -> None:
    waits = [next_try(NOW, failures, NOW + HOUR, unsure=False) - NOW for failures in range(1, 9)]
    minutes = [wait.total_seconds() / 60 for wait in waits]
    assert minutes == [1, 2, 4, 8, 16, 30, 30, 30]
    assert next_try(NOW, 10_000, NOW, unsure=False) == NOW + timedelta(minutes=30)


def test_where_a_second_try_may_end_the_consent_the_token_is_used_to_its_end() -> None:
    assert next_try(NOW, 1, NOW + HOUR, unsure=True) == NOW + HOUR - LAST_TRY
    # It is nearly over: nothing is lost by trying.
    assert next_try(NOW, 1, NOW + timedelta(minutes=2), unsure=True) == NOW + timedelta(minutes=1)


def test_a_time_for_another_try_that_a_wrong_clock_wrote_is_not_waited_for() -> None:
    for failures in range(1, 9):
        for unsure in (False, True):
            at = next_try(NOW, failures, NOW + HOUR, unsure=unsure)
            assert not is_time(at, NOW + HOUR, NOW)
            assert is_time(at, NOW + HOUR, at)
            ahead = next_try(NOW + timedelta(days=365), failures, NOW + HOUR, unsure=False)
            assert is_time(ahead, NOW + HOUR, NOW)


def test_who_can_renew_without_a_person() -> None:
    renewed = {name for name, kind in VENDORS.items() if can_renew(kind, has_refresh_token=True)}
    assert renewed == {"instagram", "linkedin", "mastodon", "threads", "tiktok", "x", "youtube"}
    assert {name for name, kind in VENDORS.items() if can_renew(kind, has_refresh_token=False)} == {
        "instagram",
        "threads",
    }


@pytest.mark.parametrize("token", ["", "a", "\ud800"])
def test_a_token_is_named_without_telling_it(token: str) -> None:
    assert (hash_of(token) == "") is (token == "")
    assert token == "" or token not in hash_of(token) or len(token) == 1


def test_every_vendor_declares_what_people_are_told() -> None:
    for kind in VENDORS.values():
        assert any(each.needed for each in kind.permissions), kind.id
        assert len({each.scope for each in kind.permissions}) == len(kind.permissions)
        for each in kind.permissions:
            assert each.purpose
            assert each.purpose[0].islower()
            assert each.remedy.endswith(".")
        assert kind.revoked_at
        assert kind.rotates <= kind.renewable
