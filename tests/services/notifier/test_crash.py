"""Notifiers that die, that are told to end, that start before their servers, and that must not reach inside."""

import signal
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from kafka.errors import KafkaError

from rapport.contracts.events import MailChannel, WebhookChannel
from rapport.contracts.topics import NOTIFIER_GROUP
from rapport.kit.broker import kafka
from tests.services.notifier.conftest import World, an_alert
from tests.services.notifier.receivers import SECRET, Answer, MailReceiver, free_port
from tests.waiting import until

pytestmark = pytest.mark.stack


def test_a_notifier_killed_between_claim_and_mark_is_followed_by_one_that_sends_again_under_the_same_id(
    world: World,
) -> None:
    never = threading.Event()
    world.receiver.answers["/killed"] = [Answer(until=never)]
    brand = world.brand(world.receiver.channel("hook", "/killed"))
    doomed = world.start(RAPPORT_ALLOW_PRIVATE="true", RAPPORT_SEND_SECONDS="5")
    alert = world.alert(brand)
    until(lambda: world.receiver.posts["/killed"], "the receiver was called")
    doomed.kill()
    row = world.row(alert, "hook")
    assert row is not None
    assert (row["status"], row["attempts"]) == ("pending", 0)

    world.start(RAPPORT_ALLOW_PRIVATE="true")

    assert world.ended(alert, "hook")["status"] == "delivered"
    never.set()
    first, second = world.receiver.posts["/killed"]
    assert (first.id, first.body) == (second.id, second.body)


def test_two_notifiers_share_the_work_and_each_delivery_is_made_once(world: World) -> None:
    for _ in range(2):
        world.start(RAPPORT_ALLOW_PRIVATE="true")
    brands = [world.brand(world.receiver.channel("hook", "/shared")) for _ in range(8)]
    alerts = [world.alert(brand) for brand in brands for _ in range(10)]

    for alert in alerts:
        assert world.ended(alert, "hook")["status"] == "delivered"

    ids = [post.id for post in world.receiver.posts["/shared"]]
    assert sorted(ids) == sorted(f"{alert.id}/hook" for alert in alerts)


def test_a_notifier_that_is_told_to_end_finishes_what_it_sends_and_exits_with_0(world: World) -> None:
    for process in world.processes:
        process.terminate()
        process.wait(30)
    release = threading.Event()
    world.receiver.answers["/ending"] = [Answer(until=release)]
    notifier = world.start(RAPPORT_ALLOW_PRIVATE="true", RAPPORT_SEND_SECONDS="20")
    alert = world.alert(world.brand(world.receiver.channel("hook", "/ending")))
    until(lambda: world.receiver.posts["/ending"], "the receiver was called")

    notifier.process.send_signal(signal.SIGTERM)
    release.set()

    assert notifier.process.wait(30) == 0
    row = world.row(alert, "hook")
    assert row is not None
    assert row["status"] == "delivered"


def test_without_leave_a_webhook_to_this_machine_is_refused_and_mail_still_goes_out(world: World) -> None:
    world.start()
    private = WebhookChannel(id="hook", url=world.receiver.url("/inside").replace("http:", "https:"), secret=SECRET)
    brand = world.brand(private, MailChannel(id="team", to="inside@acme.example"))
    alert = an_alert(brand)
    world.publish(alert)

    row = world.ended(alert, "hook")
    assert (row["status"], row["attempts"]) == ("failed", 1)
    assert row["last_error"] == "refused: it is not a public address"
    assert world.ended(alert, "team")["status"] == "delivered"
    assert world.receiver.posts["/inside"] == []


def test_without_servers_a_notifier_lives_says_what_is_missing_and_can_be_ended(world: World) -> None:
    nowhere = free_port()
    notifier = world.start(
        wait=False, RAPPORT_MONGODB=f"mongodb://127.0.0.1:{nowhere}/", RAPPORT_KAFKA=f"127.0.0.1:{nowhere}"
    )

    until(lambda: notifier.get("/healthz")[0] == 200, "it lives")
    assert notifier.get("/readyz") == (503, "kafka, mongodb\n")
    notifier.process.send_signal(signal.SIGTERM)
    assert notifier.process.wait(30) == 0


def test_a_mail_server_that_takes_longer_than_the_lease_gets_each_mail_once(world: World) -> None:
    world.end_all()
    slow = MailReceiver(step_seconds=2.5)  # three steps, together longer than three times the longest webhook
    try:
        for _ in range(2):
            world.start(RAPPORT_SMTP=slow.address, RAPPORT_SEND_SECONDS="2", RAPPORT_MAIL_SECONDS="60")
        brand = world.brand(MailChannel(id="team", to="slow@acme.example"))
        alerts = [world.alert(brand) for _ in range(3)]

        for alert in alerts:
            row = world.ended(alert, "team")
            assert (row["status"], row["attempts"]) == ("delivered", 1)
        assert len(slow.mails) == len(alerts)
    finally:
        world.end_all()
        slow.close()


def test_a_group_whose_offsets_are_gone_tells_nothing_twice_and_nothing_old_to_a_new_channel(world: World) -> None:
    """As after an outage for which the broker did not keep the offsets: the log is read again from its beginning."""
    world.end_all()
    notifier = world.start(RAPPORT_ALLOW_PRIVATE="true")
    now = datetime.now(UTC)
    hook = world.receiver.channel("hook", "/again")
    brand = world.brand(hook)
    told = [world.alert(brand, created_at=now - timedelta(days=each)) for each in (60, 20, 0)]
    for alert in told:
        world.ended(alert, "hook")
    notifier.process.send_signal(signal.SIGTERM)
    assert notifier.process.wait(30) == 0
    admin = kafka.admin(world.servers.kafka)
    try:
        until(lambda: _deleted(admin, NOTIFIER_GROUP), "the group is gone")
    finally:
        admin.close()

    late, young = (world.receiver.channel(name, f"/{name}") for name in ("late", "young"))
    world.brand(
        hook, late, young, id=brand, since={"late": now - timedelta(days=30), "young": now + timedelta(hours=1)}
    )
    world.start(RAPPORT_ALLOW_PRIVATE="true")
    after = world.alert(brand, created_at=now + timedelta(hours=2))

    for channel in ("hook", "late", "young"):
        assert world.ended(after, channel)["status"] == "delivered"
    until(lambda: world.rows.count_documents({"brand": brand, "status": "pending"}) == 0, "nothing waits")
    assert sorted(post.id for post in world.receiver.posts["/again"]) == sorted(
        f"{alert.id}/hook" for alert in (*told, after)
    )
    assert {post.id for post in world.receiver.posts["/late"]} == {f"{each.id}/late" for each in (*told[1:], after)}
    assert [post.id for post in world.receiver.posts["/young"]] == [f"{after.id}/young"]


def test_an_alert_that_was_never_told_goes_to_the_channel_that_has_replaced_the_others_meanwhile(world: World) -> None:
    world.end_all()
    notifier = world.start(RAPPORT_ALLOW_PRIVATE="true")
    now = datetime.now(UTC)
    brand = world.brand(world.receiver.channel("former", "/former"))
    world.ended(world.alert(brand), "former")
    notifier.process.send_signal(signal.SIGTERM)
    assert notifier.process.wait(30) == 0

    missed = world.alert(brand, created_at=now - timedelta(minutes=6))
    world.brand(world.receiver.channel("new", "/new"), id=brand, since={"new": now})
    world.start(RAPPORT_ALLOW_PRIVATE="true")
    assert world.ended(missed, "new")["status"] == "delivered"


def _deleted(admin: Any, group: str) -> bool:
    try:
        admin.delete_groups([group])
    except KafkaError:
        return False
    return f"'{group}'" not in str(admin.list_groups())
