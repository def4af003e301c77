"""How an account stands after each attempt to read it."""

from datetime import UTC, datetime, timedelta

import pytest

from rapport.contracts.cursors import AccountState
from rapport.kit.broker.producer import NotAcknowledgedError
from services.ingest.polling.api import AttentionError, AwayError, LimitedError
from services.ingest.polling.standing import Trouble, stands, trouble_of

NOW = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def after(
    before: AccountState | None, minutes: int, trouble: Trouble | None, *, checked: int | None = None
) -> AccountState:
    return stands(
        before, NOW + minutes * MINUTE, trouble,
        brand="acme", account="acme-mastodon", platform="mastodon", claim=7,
        checked_at=None if checked is None else NOW + checked * MINUTE, latest_at=None,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (AttentionError("the platform does not accept its token any more"), "attention"),
        (AwayError("it answered 503", incident=True), "incident"),
        (AwayError("no answer in time"), "behind"),
        (LimitedError(3_600), "behind"),
        (NotAcknowledgedError("the broker did not confirm"), "behind"),
        (KeyError(), "behind"),
    ],
)
def test_what_an_error_makes_of_an_account(error: Exception, state: str) -> None:
    found = trouble_of(error)
    assert found is not None
    assert found.state == state
    assert found.why


def test_a_short_limit_is_an_everyday_matter() -> None:
    assert trouble_of(LimitedError(30)) is None


def test_an_account_that_is_behind_is_so_since_it_was_last_read_to_its_end() -> None:
    live = after(None, 0, None, checked=0)
    assert (live.state, live.since, live.why) == ("live", NOW, None)
    behind = after(live, 5, Trouble("behind", "no answer in time"))
    assert (behind.state, behind.since, behind.why) == ("behind", NOW, "no answer in time")
    still = after(behind, 6, Trouble("behind", "it answered with too much"))
    assert (still.since, still.why) == (NOW, "it answered with too much")
    again = after(still, 9, None, checked=9)
    assert (again.state, again.since, again.checked_at) == ("live", NOW + 9 * MINUTE, NOW + 9 * MINUTE)


def test_another_trouble_begins_when_it_is_seen() -> None:
    live = after(None, 0, None, checked=0)
    refused = after(live, 5, Trouble("attention", "its token"))
    assert refused.since == NOW + 5 * MINUTE
    assert refused.checked_at == NOW
