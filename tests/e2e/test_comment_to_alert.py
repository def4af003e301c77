"""Start here: a comment on Bluesky that nobody answers becomes a mail and a signed webhook, an answered one nothing."""

import pytest

from tests.e2e.conftest import Agency
from tests.platforms.bluesky.network import Network
from tests.waiting import until

pytestmark = [pytest.mark.stack, pytest.mark.e2e]

TARGET_SECONDS = 24
"""Long enough that a slow machine brings an answer through before the warning at half of it."""


def test_an_unanswered_comment_warns_breaches_and_is_heard_of_and_an_answered_one_is_not(
    agency: Agency, bluesky: Network
) -> None:
    roastery, ada, bob = (bluesky.create_account(name) for name in ("roastery", "ada", "bob"))
    brand = agency.brand()
    agency.put(f"/brands/{brand}/policy", {"rules": [{"target_seconds": TARGET_SECONDS, "warn_at": [0.5]}]})
    agency.follow(brand, roastery)

    post = roastery.post("New beans from Huila are in")
    answered = bob.post("Do you grind them?", reply=post)
    roastery.post("Gladly, for any machine.", reply=answered)
    bob.like(post)
    unanswered = ada.post("Do you ship to Norway?", reply=post)

    until(lambda: len(agency.posted(brand)) >= 2, "warning and breach reach the webhook")
    until(lambda: len(agency.mailed(brand)) >= 2, "warning and breach reach the mailbox")
    warning, breach = agency.posted(brand)
    assert (warning["type"], breach["type"]) == ("alert.warning", "alert.breach")
    for event in (warning, breach):
        assert event["data"]["first"]["id"] == unanswered.uri
        assert event["data"]["first"]["text"] == "Do you ship to Norway?"
    mails = agency.mails.to(f"{brand}@example.test")
    assert all(ada.handle in str(mail["Subject"]) for mail in mails)
    assert "Do you ship to Norway?" in str(mails[1].get_body(("plain",)))

    def exchange(comment: str) -> dict[str, object]:
        (found,) = [
            each for each in agency.get(f"/brands/{brand}/exchanges")["items"] if each["first"]["id"] == comment
        ]
        return dict(found)

    until(lambda: bool(exchange(unanswered.uri)["breached_at"]), "the API shows the breach")
    missed, met = exchange(unanswered.uri), exchange(answered.uri)
    assert (missed["state"], missed["answered_at"]) == ("open", None)
    assert (met["state"], met["breached_at"], met["answered_by"]) == ("answered", None, roastery.did)
    until(
        lambda: (
            [
                delivery["status"]
                for alert in agency.get(f"/brands/{brand}/alerts")["items"]
                for delivery in alert["deliveries"]
            ]
            == ["delivered"] * 4
        ),
        "the API shows every delivery",
    )

    assert not any(alert["unconfirmed"] for alert in agency.get(f"/brands/{brand}/alerts")["items"]), "ingest is there"

    # Answered late: the brand is told that it is over, and the relationship remembers.
    roastery.post("We do, twice a week. Sorry for the wait!", reply=unanswered)
    until(lambda: len(agency.posted(brand)) >= 3, "the end reaches the webhook")
    assert agency.posted(brand)[2]["type"] == "alert.resolved"
    assert {event["data"]["exchange"] for event in agency.posted(brand)} == {missed["id"]}
    until(lambda: exchange(unanswered.uri)["state"] == "answered_late", "the API shows the late answer")

    followers = {each["handle"]: each for each in agency.get(f"/brands/{brand}/followers")["items"]}
    assert set(followers) == {ada.handle, bob.handle}
    assert followers[bob.handle]["counts"] == {"comment": 1, "reaction": 1, "reply": 1}
    assert followers[bob.handle]["trust"] > followers[ada.handle]["trust"]
    overview = agency.get(f"/brands/{brand}/overview")
    assert (overview["followers"], overview["open"]) == (2, 0)
