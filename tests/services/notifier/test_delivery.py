"""Alerts from the log through a real notifier to real receivers."""

import threading
import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from pymongo.database import Database

from rapport.contracts.events import MailChannel, WebhookChannel
from rapport.contracts.topics import ALERTS_DEAD
from rapport.kit.broker import kafka
from rapport.local.servers.stack import Running
from services.notifier import abilities
from services.notifier.outbox import Told, _row
from tests.faults.broker import OwnBroker
from tests.services.notifier.conftest import Notifier, World, a_missing_post, an_alert, plan_of
from tests.services.notifier.receivers import SECRET, Answer, MailReceiver, WebhookReceiver
from tests.waiting import until

pytestmark = pytest.mark.stack


@pytest.fixture(scope="module")
def notifier(world: World) -> Notifier:
    return world.start(RAPPORT_ALLOW_PRIVATE="true")


def test_an_alert_reaches_each_channel_of_its_brand_once_though_the_log_holds_it_twice(
    world: World, notifier: Notifier
) -> None:
    brand = world.brand(MailChannel(id="team", to="team@acme.example"), world.receiver.channel("hook", "/once"))
    alert = an_alert(brand)
    world.publish(alert)
    world.publish(alert)
    after = world.alert(brand)

    for one in (alert, after):
        for channel in ("team", "hook"):
            row = world.ended(one, channel)
            assert (row["status"], row["attempts"], row["last_error"]) == ("delivered", 1, None)
            assert row["delivered_at"] is not None
            assert row["delivered_at"] >= row["created_at"]
    posts = world.receiver.posts["/once"]
    assert sorted(post.id for post in posts) == sorted([f"{alert.id}/hook", f"{after.id}/hook"])
    assert {post.event["type"] for post in posts} == {"alert.breach"}
    told = next(post.event["data"] for post in posts if post.id == f"{alert.id}/hook")
    assert told["follower"]["handle"] == "ada"
    assert told["link"] == f"https://portal.example/brands/{brand}/exchanges/{alert.exchange}"
    mails = world.mailbox.to("team@acme.example")
    assert [mail["Subject"] for mail in mails] == ["Overdue: @ada has waited 24 hours for Acme on Bluesky"] * 2
    assert len({mail["Message-ID"] for mail in mails}) == 2


def test_a_missing_post_reaches_each_channel_once_though_the_log_holds_it_twice(
    world: World, notifier: Notifier
) -> None:
    brand = world.brand(MailChannel(id="team", to="plan@acme.example"), world.receiver.channel("hook", "/missing"))
    missing = a_missing_post(brand)
    views: Database[Any] = world.rows.database
    views["planned_posts"].insert_one(plan_of(missing))
    for _ in range(2):
        world.publish(missing)

    for channel in ("team", "hook"):
        row = world.ended(missing, channel)
        assert (row["status"], row["attempts"], row["step"]) == ("delivered", 1, "missing")
    (post,) = world.receiver.posts["/missing"]
    assert (post.id, post.event["type"]) == (f"{missing.id}/hook", "post.missing")
    assert post.event["data"]["link"] == f"https://portal.example/brands/{brand}/calendar/monday"
    (mail,) = world.mailbox.to("plan@acme.example")
    assert mail["Subject"].startswith("Not published: ")


def test_an_alert_that_only_a_later_version_can_read_waits_for_it(world: World, notifier: Notifier) -> None:
    hook = world.receiver.channel("hook", "/later")
    brand = world.brand(hook)
    alert = an_alert(brand)
    row = _row(Told(alert, (hook,)), hook, alert.created_at)
    row["step"] = row["payload"]["step"] = "snoozed"
    world.rows.insert_one({**row, "_id": f"{alert.id}/hook"})

    def waits() -> bool:
        found = world.rows.find_one({"_id": f"{alert.id}/hook"})
        return found is not None and "later version" in (found["last_error"] or "")

    until(waits, "it was looked at")
    found = world.rows.find_one({"_id": f"{alert.id}/hook"})
    assert found is not None
    assert (found["status"], found["attempts"]) == ("pending", 0)
    world.rows.delete_one({"_id": f"{alert.id}/hook"})


def test_a_receiver_that_fails_is_tried_again_with_the_same_id_and_body(world: World, notifier: Notifier) -> None:
    world.receiver.answers["/flaky"] = [Answer(500)]
    brand = world.brand(world.receiver.channel("hook", "/flaky"))
    alert = world.alert(brand)

    row = world.ended(alert, "hook")

    assert (row["status"], row["attempts"]) == ("delivered", 2)
    first, second = world.receiver.posts["/flaky"]
    assert (first.id, first.body) == (second.id, second.body)


def test_retry_after_is_honoured(world: World, notifier: Notifier) -> None:
    world.receiver.answers["/busy"] = [Answer(429, {"Retry-After": "3600"})]
    brand = world.brand(world.receiver.channel("hook", "/busy"))
    alert = world.alert(brand)

    row = world.row_when(alert, "hook", "tried", lambda row: row["attempts"] == 1)

    assert row["status"] == "pending"
    assert row["last_error"] == "the receiver answered 429"
    assert row["next_attempt_at"] >= row["created_at"] + timedelta(seconds=3600)


def test_a_receiver_that_is_gone_is_not_tried_again(world: World, notifier: Notifier) -> None:
    world.receiver.answers["/gone"] = [Answer(410)]
    brand = world.brand(world.receiver.channel("hook", "/gone"))
    alert = world.alert(brand)

    row = world.ended(alert, "hook")

    assert (row["status"], row["attempts"]) == ("failed", 1)
    assert row["last_error"] == "disabled: the receiver answered 410 Gone"


def test_a_redirect_is_a_failure_and_is_not_followed(world: World, notifier: Notifier) -> None:
    headers = {"Location": world.receiver.url("/elsewhere"), "Retry-After": "3600"}
    world.receiver.answers["/moved"] = [Answer(307, headers)]
    brand = world.brand(world.receiver.channel("hook", "/moved"))
    alert = world.alert(brand)

    row = world.row_when(alert, "hook", "tried", lambda row: row["attempts"] == 1)

    assert (row["status"], row["last_error"]) == (
        "pending",
        "the receiver answered 307, a redirect, which is not followed",
    )
    assert world.receiver.posts["/elsewhere"] == []


def test_a_receiver_that_does_not_answer_holds_up_no_other(world: World, notifier: Notifier) -> None:
    release = threading.Event()
    world.receiver.answers["/slow"] = [Answer(until=release) for _ in range(20)]
    slow = world.brand(world.receiver.channel("hook", "/slow"))
    fine = world.brand(world.receiver.channel("hook", "/fine"))
    waiting = [world.alert(slow) for _ in range(20)]
    until(lambda: world.receiver.posts["/slow"], "the slow receiver was called")

    assert world.ended(world.alert(fine), "hook")["status"] == "delivered"
    row = world.row_when(waiting[0], "hook", "tried", lambda row: row["attempts"] >= 1)
    assert row["last_error"] == "no answer within 2 s"
    release.set()
    for alert in waiting:
        assert world.ended(alert, "hook")["status"] == "delivered"


def test_a_waiting_delivery_goes_to_where_the_channel_now_is(world: World, notifier: Notifier) -> None:
    world.receiver.answers["/old"] = [Answer(500) for _ in range(50)]
    brand = world.brand(world.receiver.channel("hook", "/old"))
    alert = world.alert(brand)
    until(lambda: world.receiver.posts["/old"], "the old address was called")

    world.brand(world.receiver.channel("hook", "/new"), id=brand)

    assert world.ended(alert, "hook")["status"] == "delivered"
    assert [post.id for post in world.receiver.posts["/new"]] == [f"{alert.id}/hook"]


def test_a_waiting_delivery_to_a_removed_channel_fails_and_says_so(world: World, notifier: Notifier) -> None:
    world.receiver.answers["/removed"] = [Answer(500) for _ in range(50)]
    brand = world.brand(world.receiver.channel("hook", "/removed"))
    alert = world.alert(brand)
    until(lambda: world.receiver.posts["/removed"], "the receiver was called")

    world.brand(id=brand)

    row = world.ended(alert, "hook")
    assert (row["status"], row["last_error"]) == ("failed", "the channel was removed")


def test_an_alert_of_a_brand_without_channels_is_counted(world: World, notifier: Notifier) -> None:
    alert = world.alert(world.brand())

    until(lambda: 'rapport_notifier_alerts_total{outcome="unheard"}' in notifier.get("/metrics")[1], "counted")
    assert world.rows.find_one({"alert": alert.id}) is None


@pytest.fixture
def alone(stack: Running, tmp_path: Path) -> Iterator[World]:
    """With a broker of its own: a record that nobody can read stops every projector that meets it."""
    broker = OwnBroker(tmp_path / "broker")
    servers = Running(broker.kafka, stack.mongodb)
    found = World(servers, f"notifier_{uuid.uuid4().hex[:8]}", MailReceiver(), WebhookReceiver())
    try:
        yield found
    finally:
        found.close()
        broker.end()


def test_a_record_that_is_no_alert_goes_to_the_dead_letters_and_the_next_is_delivered(alone: World) -> None:
    world = alone
    world.start(RAPPORT_ALLOW_PRIVATE="true")
    brand = world.brand(world.receiver.channel("hook", "/after-poison"))
    poison = f'{{"id": "{brand}"}}'.encode()
    world.publish_raw(brand, poison)
    alert = world.alert(brand)

    assert world.ended(alert, "hook")["status"] == "delivered"
    consumer = kafka.consumer(world.servers.kafka, None, "tests")
    consumer.subscribe([ALERTS_DEAD.name])
    try:
        letter = until(
            lambda: next((one for found in consumer.poll(500).values() for one in found if one.value == poison), None),
            "the dead letter",
        )
    finally:
        consumer.close()
    assert b"missing required field" in dict(letter.headers)["rapport_dead_because"]


def test_words_from_outside_change_nothing_but_the_words(world: World, notifier: Notifier) -> None:
    brand = world.brand(MailChannel(id="team", to="hostile@acme.example"))
    hostile = "x\r\nBcc: all@acme.example\r\n\r\n<script>alert(1)</script>\u202eevil\x00"
    alert = an_alert(brand)
    changed = {"follower": {"id": "h", "handle": hostile}, "first": {"id": "c", "text": hostile, "url": "javascript:1"}}
    world.publish(msgspec.convert({**msgspec.to_builtins(alert), **changed}, type(alert)))

    assert world.ended(alert, "team")["status"] == "delivered"
    (mail,) = world.mailbox.to("hostile@acme.example")
    assert mail["Bcc"] is None
    assert "\n" not in mail["Subject"]
    html = mail.get_body(("html",))
    plain = mail.get_body(("plain",))
    assert html is not None
    assert plain is not None
    assert "<script>" not in html.get_content()
    assert "&lt;script&gt;" in html.get_content()
    assert "javascript:" not in html.get_content() + plain.get_content()
    assert "> <script>alert(1)</script>evil" in plain.get_content()


@pytest.mark.parametrize("host", ["xn--localhost-", "xn--zzzz999999.example", "%31%32%37.0.0.1"])
def test_an_address_that_nobody_can_read_is_an_attempt_that_failed(world: World, notifier: Notifier, host: str) -> None:
    brand = world.brand(WebhookChannel(id="hook", url=f"https://{host}/in", secret=SECRET))
    row = world.ended(world.alert(brand), "hook")

    assert (row["status"], row["attempts"]) == ("failed", 1)
    assert row["last_error"] == "refused: what follows :// is not a host name"


def test_the_notifier_notes_whether_it_has_a_mail_server(world: World, notifier: Notifier) -> None:
    notes = world.rows.database[abilities.NOTIFIER]
    assert notes.find_one({"_id": abilities.ABILITIES}, {"mail": 1}) == {"_id": abilities.ABILITIES, "mail": True}
