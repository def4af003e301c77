"""Errands are carried out once, whatever goes wrong between here and the platform."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from rapport.contracts.events import Account
from services.ingest.errands import desk as desk_module
from services.ingest.errands.words import UNTOLD
from services.ingest.polling import api
from tests.platforms.mastodon import MastodonServer
from tests.services.ingest.connectors.asking import until
from tests.services.ingest.connectors.mastodon.client import Client
from tests.services.ingest.errands.asking import ask, desk, errand, state, states

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def _sooner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk_module, "SETTLED", timedelta(seconds=1))
    monkeypatch.setattr(desk_module, "AGAIN_SECONDS", 0.2)
    monkeypatch.setattr(desk_module, "LONGEST_BACKOFF_SECONDS", 1.0)
    monkeypatch.setattr(desk_module, "ATTENTION_SECONDS", 0.5)
    monkeypatch.setattr(api, "SHORTEST_WAIT_SECONDS", 0.5)


@pytest.fixture
def server() -> Iterator[MastodonServer]:
    with MastodonServer() as running:
        running.keeps_keys = False  # no help from there
        yield running


class World:
    """A client, a comment of somebody, and the accounts that the desk knows."""

    def __init__(self, bootstrap: str, server: MastodonServer) -> None:
        self.bootstrap = bootstrap
        self.server = server
        self.client = Client(server)
        self.comment = self.client.comment()
        self.bare = self.comment.partition("@")[0]
        self.accounts: dict[str, tuple[str, Account]] = {self.client.account.id: self.client.pair}

    def errand(self, deed: str = "answer", **more: Any) -> Any:
        # As if just asked for, however long the test takes: what is older than a minute is looked for first.
        more = {"ago": -timedelta(minutes=1), **more}
        return errand(self.client.brand.id, self.client.account, more.pop("thing", self.comment), deed, **more)

    async def asked(self, *errands: Any) -> None:
        await asyncio.to_thread(ask, self.bootstrap, *errands)

    async def stands(self, one: Any, how: str) -> str | None:
        await until(
            lambda: state(self.bootstrap, one.id) == how, lambda: f"it to be {how}: {states(self.bootstrap, one.id)}"
        )
        return states(self.bootstrap, one.id)[-1].why

    def answers(self) -> list[str]:
        return [one.text for one in self.server.answers(self.bare)]


@pytest.fixture
def world(stack: Any, server: MastodonServer) -> World:
    return World(stack.kafka, server)


async def test_an_answer_is_written_once_and_as_public_as_the_comment(tmp_path: Path, world: World) -> None:
    world.bare = world.server.comment(world.client.ada, world.client.post, "hm", visibility="unlisted", warning="food")
    one = world.errand(thing=world.client.full(world.bare))
    async with desk(world.bootstrap, tmp_path, world.accounts):
        await world.asked(one, one)
        await world.stands(one, "done")
        after = world.errand(thing=world.client.full(world.bare), text="And on Sundays")
        await world.asked(one, after)
        await world.stands(after, "done")
    assert world.answers() == ["From eight on", "And on Sundays"]
    (written, _) = world.server.answers(world.bare)
    assert (written.visibility, written.warning, written.mentions) == ("unlisted", "food", [world.client.ada])
    done = states(world.bootstrap, one.id)
    assert [each.state for each in done] == ["sending", "done"]
    assert done[-1].done_as == world.client.full(written.id)
    assert (done[-1].url or "").startswith("https://")


async def test_an_answer_whose_confirmation_is_lost_is_found_and_not_written_again(
    tmp_path: Path, world: World
) -> None:
    world.server.lose_answers()
    one = world.errand()
    async with desk(world.bootstrap, tmp_path, world.accounts):
        await world.asked(one)
        await world.stands(one, "done")
    assert world.answers() == ["From eight on"]


async def test_while_it_is_not_known_whether_it_is_there_nothing_is_sent(tmp_path: Path, world: World) -> None:
    """The confirmation is lost, and then the token is revoked for a while: nobody may take it for unsent."""
    world.server.lose_answers()
    one = world.errand()
    async with desk(world.bootstrap, tmp_path, world.accounts):
        await world.asked(one)
        await until(lambda: len(world.answers()) == 1, "it to be written")
        world.server.revoke(world.client.token)
        await until(lambda: states(world.bootstrap, one.id)[-1].why is not None, "the reason to be told")
        assert {each.state for each in states(world.bootstrap, one.id)} == {"sending"}
        world.server.add_token(world.client.token, world.client.itself)
        await world.stands(one, "done")
    assert world.answers() == ["From eight on"]


async def test_an_answer_that_did_not_get_there_is_written_after_the_platform_was_asked(
    tmp_path: Path, world: World
) -> None:
    world.server.fail(503, 3)
    one = world.errand()
    async with desk(world.bootstrap, tmp_path, world.accounts):
        await world.asked(one)
        await world.stands(one, "done")
    assert world.answers() == ["From eight on"]


async def test_whoever_goes_on_asks_first(tmp_path: Path, world: World) -> None:
    world.server.answer_late(30)
    one = world.errand()
    async with desk(world.bootstrap, tmp_path / "one", world.accounts):
        await world.asked(one)
        await until(lambda: len(world.answers()) == 1, "it to be written")
        assert state(world.bootstrap, one.id) == "sending"
    async with desk(world.bootstrap, tmp_path / "two", world.accounts):
        await world.stands(one, "done")
    assert world.answers() == ["From eight on"]


async def test_whoever_goes_on_waits_until_what_was_sent_before_must_have_arrived(
    tmp_path: Path, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk_module, "SETTLED", timedelta(seconds=20))
    world.server.hang(0)
    world.server.hang(12)  # the answer itself, after the look at the comment
    one = world.errand()
    async with desk(world.bootstrap, tmp_path / "one", world.accounts):
        await world.asked(one)
        await until(lambda: any(each.method == "POST" for each in world.server.requests), "it to be sent")
    assert world.answers() == []
    async with desk(world.bootstrap, tmp_path / "two", world.accounts):
        await world.stands(one, "done")
    await until(lambda: world.server.hanging == 0, "what was sent before to be carried out")
    assert world.answers() == ["From eight on"]


async def test_a_refusal_is_told_with_its_reason_and_holds_nothing_up(tmp_path: Path, world: World) -> None:
    long, gone, elsewhere = world.errand(text="x" * 501), world.errand(thing=world.client.full("1")), world.errand(
        thing="1@elsewhere.example"
    )  # fmt: skip
    good = world.errand()
    async with desk(world.bootstrap, tmp_path, world.accounts):
        await world.asked(long, gone, elsewhere, good)
        assert await world.stands(long, "refused") == (
            "the platform refused it: Validation failed: Text character limit of 500 exceeded"
        )
        assert await world.stands(gone, "refused") == "the comment is not there any more, or the account may not see it"
        assert await world.stands(elsewhere, "refused") == "it was written to an account on another server"
        await world.stands(good, "done")
    assert world.answers() == ["From eight on"]


async def test_what_cannot_be_sent_waits_and_says_why_and_is_sent_once_somebody_repairs_it(
    tmp_path: Path, world: World
) -> None:
    world.server.reading.add(world.client.token)
    one = world.errand()
    async with desk(world.bootstrap, tmp_path, world.accounts):
        await world.asked(one)
        why = await world.stands(one, "waiting")
        assert why == "its token may not write; it needs the scopes write:statuses and write:favourites"
        pair = world.accounts.pop(world.client.account.id)
        two = world.errand("like")
        await world.asked(two)
        assert await world.stands(two, "waiting") == "the account is not connected any more"
        world.server.reading.clear()
        world.accounts[world.client.account.id] = pair
        await world.stands(one, "done")
        await world.stands(two, "done")
    assert world.answers() == ["From eight on"]
    assert world.server.favourites == [(world.client.itself, world.bare)]


async def test_a_limit_is_waited_for(tmp_path: Path, world: World) -> None:
    world.server.fail(429, 1, retry_after=1)
    one = world.errand()
    async with desk(world.bootstrap, tmp_path, world.accounts):
        await world.asked(one)
        await world.stands(one, "done")
    assert [each.state for each in states(world.bootstrap, one.id)][-1] == "done"
    assert world.answers() == ["From eight on"]


async def test_after_a_day_it_is_given_up_but_what_may_be_there_is_looked_for(tmp_path: Path, world: World) -> None:
    world.server.answer(world.client.itself, world.bare, "there already")
    day = timedelta(hours=25)
    late, there = world.errand(ago=day, text="too late"), world.errand(ago=day, text="there already")
    async with desk(world.bootstrap, tmp_path, world.accounts):
        await world.asked(late, there)
        assert await world.stands(late, "refused") == "it could not be sent within 24 hours"
        await world.stands(there, "done")
        world.server.fail(503, 1)
        unknown = world.errand(ago=day, text="who knows")
        await world.asked(unknown)
        assert await world.stands(unknown, "refused") == desk_module.UNKNOWN
    assert world.answers() == ["there already"]


async def test_one_of_which_nothing_is_remembered_is_looked_for_before_it_is_written(
    tmp_path: Path, world: World
) -> None:
    """As after a restore: the answer is there, and what was noted of it is not."""
    world.server.answer(world.client.itself, world.bare, "From  eight on")
    one = world.errand(ago=timedelta(minutes=5))
    async with desk(world.bootstrap, tmp_path, world.accounts):
        await world.asked(one)
        await world.stands(one, "done")
    assert world.answers() == ["From  eight on"]


async def test_a_look_that_was_not_possible_is_taken_again_before_anything_is_sent(
    tmp_path: Path, world: World
) -> None:
    world.server.answer(world.client.itself, world.bare, "From eight on")
    world.server.fail(429, 1, retry_after=1)
    one = world.errand(ago=timedelta(minutes=5))
    async with desk(world.bootstrap, tmp_path, world.accounts):
        await world.asked(one)
        await world.stands(one, "done")
    assert {each.state for each in states(world.bootstrap, one.id)} == {"sending", "done"}
    assert world.answers() == ["From eight on"]


async def test_what_the_account_wrote_before_is_not_taken_for_it(tmp_path: Path, world: World) -> None:
    world.server.answer(world.client.itself, world.bare, "Thank you!")
    one = world.errand(text="Thank you!", ago=-timedelta(minutes=30))
    async with desk(world.bootstrap, tmp_path, world.accounts):
        world.server.fail(503, 1)  # so that it is looked for
        await world.asked(one)
        await world.stands(one, "done")
    assert world.answers() == ["Thank you!", "Thank you!"]


@pytest.mark.parametrize("told", [True, False])
async def test_an_answer_with_an_address_is_known_by_what_was_sent(tmp_path: Path, world: World, told: bool) -> None:
    world.server.tells_sources = told
    world.server.lose_answers()
    one = world.errand(text="See https://roastery.example/opening and come")
    async with desk(world.bootstrap, tmp_path, world.accounts):
        await world.asked(one)
        why = await world.stands(one, "done" if told else "refused")
    assert why == (None if told else UNTOLD)
    assert len(world.answers()) == 1


async def test_a_refusal_of_the_look_is_not_one_of_the_answer(tmp_path: Path, world: World) -> None:
    world.server.lose_answers()
    one = world.errand()
    async with desk(world.bootstrap, tmp_path, world.accounts):
        await world.asked(one)
        await until(lambda: len(world.answers()) == 1, "it to be written")
        world.server.delete(world.bare)
        assert await world.stands(one, "refused") == UNTOLD


async def test_after_a_day_nobody_says_that_a_like_was_not_sent_which_may_have_been(
    tmp_path: Path, world: World
) -> None:
    one, ahead = world.errand("like"), [timedelta()]
    async with desk(world.bootstrap, tmp_path, world.accounts, lambda: datetime.now(UTC) + ahead[0]):
        world.server.fail(503, 1_000)
        await world.asked(one)
        await world.stands(one, "sending")
        ahead[0] = timedelta(hours=25)
        assert await world.stands(one, "refused") in (desk_module.UNKNOWN, desk_module.UNLOOKED)


@pytest.mark.parametrize("then", ["the account is gone", "our own fault"])
async def test_after_a_day_nobody_says_that_an_answer_was_not_sent_which_nobody_could_look_for(
    tmp_path: Path, world: World, monkeypatch: pytest.MonkeyPatch, then: str
) -> None:
    one, ahead = world.errand(), [timedelta()]
    monkeypatch.setattr(desk_module, "SETTLED", timedelta(seconds=1))
    async with desk(world.bootstrap, tmp_path, world.accounts, lambda: datetime.now(UTC) + ahead[0]) as made:
        world.server.lose_answers()
        await world.asked(one)
        await until(lambda: len(world.answers()) == 1, "it to be written")
        if then == "our own fault":
            monkeypatch.setattr(made, "_found", None)
            monkeypatch.setattr(desk_module, "LONGEST_BACKOFF_SECONDS", 1.0)
        else:
            world.accounts.clear()
            monkeypatch.setattr(desk_module, "ATTENTION_SECONDS", 1.0)
        await until(lambda: states(world.bootstrap, one.id)[-1].why is not None, "the reason to be told")
        ahead[0] = timedelta(hours=25)
        assert await world.stands(one, "refused") == desk_module.UNKNOWN


async def test_an_errand_for_an_account_of_another_brand_is_not_carried_out(tmp_path: Path, world: World) -> None:
    other = Client(world.server, "harbour")
    stolen = errand(other.brand.id, world.client.account, world.comment, ago=-timedelta(minutes=1))
    async with desk(world.bootstrap, tmp_path, {**world.accounts, other.account.id: other.pair}):
        await world.asked(stolen)
        assert await world.stands(stolen, "waiting") == "the account is not connected any more"
    assert world.answers() == []


async def test_the_server_helps_where_it_knows_the_key(tmp_path: Path, world: World) -> None:
    world.server.keeps_keys = True
    one = world.errand()
    async with desk(world.bootstrap, tmp_path, world.accounts):
        await world.asked(one)
        await world.stands(one, "done")
    assert {key for _, key in world.server._keys} == {one.id}


async def test_what_waits_its_turn_goes_by_how_things_stand_when_it_comes(tmp_path: Path, world: World) -> None:
    """Many may wait behind one that hangs. Meanwhile the account may have been disconnected."""
    world.server.hold()
    first, second = world.errand(text="one"), world.errand(text="two")
    async with desk(world.bootstrap, tmp_path, world.accounts) as made:
        await world.asked(first, second)
        # It also has what other tests left undone.
        begun = {first.id, second.id}
        await until(lambda: world.server.hanging == 1 and begun <= made._under_way.keys(), "one to hang, one to wait")
        world.accounts.clear()
        world.server.release()
        await world.stands(first, "done")
        assert await world.stands(second, "waiting") == "the account is not connected any more"
    assert world.answers() == ["one"]


async def test_a_clock_that_was_ahead_holds_nothing_up(tmp_path: Path, world: World) -> None:
    world.server.answer_late(30)
    one = world.errand()
    ahead = timedelta(hours=20)
    async with desk(world.bootstrap, tmp_path / "one", world.accounts, lambda: datetime.now(UTC) + ahead):
        await world.asked(one)
        await until(lambda: len(world.answers()) == 1, "it to be written")
        assert state(world.bootstrap, one.id) == "sending"
    async with desk(world.bootstrap, tmp_path / "two", world.accounts):
        await world.stands(one, "done")
    assert world.answers() == ["From eight on"]


async def test_after_an_outage_of_days_what_was_not_done_is_told(tmp_path: Path, world: World) -> None:
    one = world.errand()
    await world.asked(one)
    days = timedelta(days=6)
    async with desk(world.bootstrap, tmp_path, world.accounts, lambda: datetime.now(UTC) + days):
        assert await world.stands(one, "refused") == "it could not be sent within 24 hours"
    assert world.answers() == []


async def test_what_nobody_foresaw_is_told_and_ends_like_anything_else(tmp_path: Path, world: World) -> None:
    broken = structs.replace(world.client.account, platform="facebook", connection={"token": "t"})  # without its page
    world.accounts[broken.id] = (world.client.brand.id, broken)
    one = errand(world.client.brand.id, broken, "7_8", ago=-timedelta(minutes=1))
    late = errand(world.client.brand.id, broken, "7_8", ago=timedelta(hours=25))
    async with desk(world.bootstrap, tmp_path, world.accounts):
        await world.asked(one, late)
        assert await world.stands(one, "waiting") == desk_module.OUR_FAULT
        assert desk_module.OUR_FAULT in (await world.stands(late, "refused") or "")


async def test_a_limit_is_noted_once_however_often_it_is_met(tmp_path: Path, world: World) -> None:
    world.server.fail(429, 3, retry_after=1)
    one = world.errand()
    async with desk(world.bootstrap, tmp_path, world.accounts):
        await world.asked(one)
        await world.stands(one, "done")
    reasons = {each.why for each in states(world.bootstrap, one.id) if each.state == "waiting"}
    assert reasons == {desk_module.LIMITED}


@pytest.mark.parametrize("more", ["", "m", "-rose", "@elsewhere.example", ".example"])
async def test_who_is_answered_is_named_though_somebody_is_called_almost_the_same(
    tmp_path: Path, world: World, more: str
) -> None:
    ada = world.server._accounts[world.client.ada].username
    one = world.errand(text=f"Ask @{ada}{more} please")
    async with desk(world.bootstrap, tmp_path, world.accounts):
        await world.asked(one)
        await world.stands(one, "done")
    (written,) = world.server.answers(world.bare)
    assert written.mentions == [world.client.ada]
    # The server takes out whom it tells.
    assert written.text == f"Ask @{ada}{more} please".replace(f"@{ada} ", "")


async def test_what_surely_was_not_sent_is_not_looked_for(tmp_path: Path, world: World) -> None:
    """A server may allow few requests, and each look takes two."""
    world.server.fail(429, 1, retry_after=2)
    one = world.errand()
    async with desk(world.bootstrap, tmp_path, world.accounts):
        await world.asked(one)
        await world.stands(one, "done")
    assert not [each for each in world.server.requests if each.path.endswith("/context")]
    assert world.answers() == ["From eight on"]
