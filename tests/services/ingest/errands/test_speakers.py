"""Every platform that can be written to: what is done arrives, once, and what is refused is told in words."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from pydantic import SecretStr

from rapport.contracts import codec
from rapport.contracts.events import Account
from rapport.contracts.topics import CONVERSATIONS
from rapport.domain.errands import ABLE, MESSAGED, QUIET
from services.ingest.connectors.bluesky.frames import THREADGATE
from services.ingest.connectors.youtube import speaker as youtube_speaker
from services.ingest.errands import desk as desk_module
from services.ingest.errands import graph
from services.ingest.errands.words import UNTOLD
from services.ingest.polling import api
from tests.platforms.bluesky.network import PASSWORD, Network, Person, Ref
from tests.platforms.writing import LinkedIn, Meta, Refusal, Said, Server, TikTok
from tests.platforms.youtube import YoutubeServer
from tests.services.api.log import everything
from tests.services.ingest.connectors.asking import until
from tests.services.ingest.errands.asking import ask, desk, errand, state, states

pytestmark = pytest.mark.anyio
GONE = "the comment is not there any more, or the account may not see it"
POSTS = {
    "facebook": "104_7", "instagram": "17900000000000001", "threads": "18000000000000001",
    "linkedin": "urn:li:activity:7", "tiktok": "7000000000000000001",
}  # fmt: skip
COMMENTS = {
    "facebook": "7_8", "instagram": "17900000000000002", "threads": "18000000000000002",
    "linkedin": "urn:li:comment:(urn:li:activity:7,8)", "tiktok": "7000000000000000002",
}  # fmt: skip
CONNECTIONS: dict[str, dict[str, str]] = {
    "facebook": {"page": "17841405793087218"},
    "instagram": {"user": "17841405793087218"},
    "threads": {"user": "17841405793087218"},
    "linkedin": {"organization": "1"},
    "tiktok": {"business": "bus-1", "identifier": "id-1"},
}
SERVERS: dict[str, type[Server]] = {
    "facebook": Meta, "instagram": Meta, "threads": Meta, "linkedin": LinkedIn, "tiktok": TikTok,
}  # fmt: skip


@pytest.fixture(autouse=True)
def _sooner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk_module, "SETTLED", timedelta(seconds=1))
    monkeypatch.setattr(desk_module, "AGAIN_SECONDS", 0.2)
    monkeypatch.setattr(desk_module, "LONGEST_BACKOFF_SECONDS", 1.0)
    monkeypatch.setattr(desk_module, "ATTENTION_SECONDS", 0.5)
    monkeypatch.setattr(api, "SHORTEST_WAIT_SECONDS", 0.5)
    monkeypatch.setattr(api, "USUAL_WAIT_SECONDS", 0.5)
    monkeypatch.setattr(graph, "LIMITED_SECONDS", 0.5)
    monkeypatch.setattr(graph, "BLOCKED_SECONDS", 0.5)
    monkeypatch.setattr("services.ingest.connectors.tiktok.answers.LIMITED_SECONDS", 0.5)


@dataclass
class Place:
    """A platform on this machine, an account there, and a comment."""

    platform: str
    server: Any
    account: Account
    comment: str
    post: str | None
    settings: dict[str, Any] = field(default_factory=dict)
    brand: str = field(default_factory=lambda: f"brand-{uuid4().hex[:8]}")

    @property
    def accounts(self) -> dict[str, tuple[str, Account]]:
        return {self.account.id: (self.brand, self.account)}

    def errand(self, deed: str, **more: Any) -> Any:
        # As if just asked for, however long the test takes: what is older than a minute is looked for first.
        more = {"ago": -timedelta(minutes=1), **more}
        return errand(self.brand, self.account, more.pop("thing", self.comment), deed, post=self.post, **more)


def account(platform: str, **connection: str) -> Account:
    return Account(
        id=f"account-{uuid4().hex[:12]}", platform=platform, handle="roastery", connected_at=datetime.now(UTC),
        door_secrets=("secret",), connection=connection,
    )  # fmt: skip


@pytest.fixture
def running() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def place(platform: str, running: ExitStack) -> Place:
    if platform == "youtube":
        youtube = running.enter_context(YoutubeServer())
        youtube.channel("UCroastery")
        youtube.tokens["the-token"] = "UCroastery"
        settings = {"youtube_api": youtube.address, "youtube_key": SecretStr(youtube.key)}
        its = account(platform, channel="UCroastery", token="the-token")
        return Place(platform, youtube, its, youtube.comment("UCroastery", "Are you open?"), "video", settings)
    server = running.enter_context(SERVERS[platform]())
    version = "/v24.0" if SERVERS[platform] is Meta else ""
    its = account(platform, token=server.token, **CONNECTIONS[platform])
    comment = server.comment(COMMENTS[platform], POSTS[platform])
    settings = {f"{platform}_api": f"{server.address}{version}"}
    return Place(platform, server, its, comment, POSTS[platform], settings)


PUSHING = (*SERVERS, "youtube")


async def stands(bootstrap: str, one: Any, how: str) -> str | None:
    await until(lambda: state(bootstrap, one.id) == how, lambda: f"it to be {how}: {states(bootstrap, one.id)}")
    return states(bootstrap, one.id)[-1].why


@pytest.mark.parametrize("platform", sorted(QUIET))
async def test_what_was_hidden_or_shown_from_here_is_told_where_the_platform_does_not(
    stack: Any, tmp_path: Path, running: ExitStack, platform: str
) -> None:
    here = place(platform, running)
    async with desk(stack.kafka, tmp_path, here.accounts, **here.settings):
        for deed in ("hide", "unhide"):
            one = here.errand(deed)
            ask(stack.kafka, one)
            await stands(stack.kafka, one, "done")
    mine = (each for each in everything(stack.kafka, CONVERSATIONS) if here.brand.encode() in (each.key or b""))
    told = [codec.decode("rapport.interaction.v1", each.value) for each in mine]
    assert [(each.kind, each.object.id, each.conversation) for each in told] == [
        ("hide", here.comment, here.comment), ("unhide", here.comment, here.comment),
    ]  # fmt: skip


@pytest.mark.parametrize("many", [2, 5])
async def test_an_answer_that_threads_is_still_making_is_published_later(
    stack: Any, tmp_path: Path, running: ExitStack, monkeypatch: pytest.MonkeyPatch, many: int
) -> None:
    monkeypatch.setattr("services.ingest.connectors.threads.speaker.READY_AFTER_SECONDS", (0.1, 0.1, 0.1))
    here = place("threads", running)
    here.server.unready = many
    answer = here.errand("answer")
    async with desk(stack.kafka, tmp_path, here.accounts, **here.settings):
        ask(stack.kafka, answer)
        await stands(stack.kafka, answer, "done")
    assert here.server.answers(here.comment) == ["From eight on"]
    made = [each for each in here.server.asked if each.method == "POST" and each.path.endswith("/threads")]
    assert len(made) == (1 if many < 4 else 2)


@pytest.mark.parametrize("platform", PUSHING)
async def test_what_is_asked_for_is_done_once(stack: Any, tmp_path: Path, running: ExitStack, platform: str) -> None:
    here = place(platform, running)
    answer, forbidden = here.errand("answer"), here.errand("answer", text="something forbidden")
    async with desk(stack.kafka, tmp_path, here.accounts, **here.settings):
        here.server.lose_answers(2 if platform == "threads" else 1)
        ask(stack.kafka, answer)
        await stands(stack.kafka, answer, "done")
        assert here.server.answers(here.comment) == ["From eight on"]
        assert states(stack.kafka, answer.id)[-1].done_as
        ask(stack.kafka, forbidden)
        assert (await stands(stack.kafka, forbidden, "refused") or "").startswith("the platform refused it: ")
        for deed in ("like", "hide", "unhide", "hide"):
            one = here.errand(deed)
            ask(stack.kafka, one)
            await stands(stack.kafka, one, "done" if deed in ABLE[platform] else "refused")
    assert here.server.answers(here.comment) == ["From eight on"]
    done = here.server.held if platform == "youtube" else here.server.hidden
    assert done == ({here.comment} if "hide" in ABLE[platform] else set())
    assert platform == "youtube" or here.server.liked == ({here.comment} if "like" in ABLE[platform] else set())


@pytest.mark.parametrize("platform", PUSHING)
async def test_a_comment_that_is_gone_is_told(stack: Any, tmp_path: Path, running: ExitStack, platform: str) -> None:
    here = place(platform, running)
    gone = {"linkedin": "urn:li:comment:(urn:li:activity:7,9)"}.get(platform, "999")
    one, odd = here.errand("answer", thing=gone), here.errand("answer", thing="../../me?x=")
    async with desk(stack.kafka, tmp_path, here.accounts, **here.settings):
        ask(stack.kafka, one, odd)
        why = await stands(stack.kafka, one, "refused")
        assert why == ("the platform refused it: The comment does not exist" if platform == "tiktok" else GONE)
        await stands(stack.kafka, odd, "refused")


@pytest.mark.parametrize("platform", SERVERS)
async def test_limits_and_tokens_are_waited_for(stack: Any, tmp_path: Path, running: ExitStack, platform: str) -> None:
    here = place(platform, running)
    server: Server = here.server
    limited, revoked = here.errand("answer", text="one"), here.errand("answer", text="two")
    async with desk(stack.kafka, tmp_path, here.accounts, **here.settings):
        server.refuse(server.LIMITED)
        if isinstance(server, Meta):
            server.refuse(server.BLOCKED)
        ask(stack.kafka, limited)
        await stands(stack.kafka, limited, "done")
        server.token = "another"
        ask(stack.kafka, revoked)
        assert await stands(stack.kafka, revoked, "waiting") == "the platform does not accept its token any more"
        server.refuse(server.DENIED, 3)
        server.token = "the-token"
        await until(
            lambda: any("permission" in (one.why or "") or "write" in (one.why or "")
                        for one in states(stack.kafka, revoked.id)),
            "the missing permission to be told",
        )  # fmt: skip
        await stands(stack.kafka, revoked, "done")
    assert server.answers(here.comment) == ["one", "two"]


@pytest.mark.parametrize("platform", MESSAGED)
async def test_a_private_message_is_answered_once_though_the_same_was_written_before(
    stack: Any, tmp_path: Path, running: ExitStack, platform: str
) -> None:
    here = place(platform, running)
    server: Meta = here.server
    server.message("ada", "Are you open on Sundays?")
    server.message("ada", "From eight on", mine=True)
    server.message("bob", "Thanks!")
    asked = server.message("ada", "And on Mondays?")
    server.message("ada", "From eight on")  # somebody may say the same

    def message(text: str, who: str = "ada") -> Any:
        return here.errand("answer", thing=asked, thing_kind="message", text=text, follower=who)

    first, other, late = message("From eight on"), message("See you"), message("Sorry for the delay")
    async with desk(stack.kafka, tmp_path, here.accounts, **here.settings):
        server.lose_answers(1)
        ask(stack.kafka, first)
        await stands(stack.kafka, first, "done")
        mine = [one for one in server.said if one.to == "to ada" and one.by == "brand"]
        assert [one.text for one in mine] == ["From eight on", "From eight on"]
        assert states(stack.kafka, first.id)[-1].done_as == mine[-1].id
        ask(stack.kafka, other)
        await stands(stack.kafka, other, "done")
        assert states(stack.kafka, other.id)[-1].done_as == server.said[-1].id
        server.refuse(server.TOO_LATE[platform])
        ask(stack.kafka, late)
        assert "within 24 hours only" in (await stands(stack.kafka, late, "refused") or "")
        gone, forbidden = message("Hello?", who="nobody"), message("something forbidden")
        ask(stack.kafka, gone, forbidden)
        assert "receives no messages" in (await stands(stack.kafka, gone, "refused") or "")
        assert (await stands(stack.kafka, forbidden, "refused") or "").startswith("the platform refused it: ")
    written = [one.text for one in server.said if one.by == "brand"]
    assert written == ["From eight on", "From eight on", "See you"]
    kinds = {one.sent.get("messaging_type") for one in server.asked if one.path.endswith("/messages")}
    assert kinds == {"RESPONSE" if platform == "facebook" else None}


@pytest.mark.parametrize("platform", SERVERS)
async def test_a_failure_of_the_platforms_own_is_no_refusal_whatever_it_says(
    stack: Any, tmp_path: Path, running: ExitStack, platform: str
) -> None:
    here = place(platform, running)
    answer = here.errand("answer")
    async with desk(stack.kafka, tmp_path, here.accounts, **here.settings):
        here.server.lose_answers(2 if platform == "threads" else 1, Refusal(500, here.server.BAD.body))
        ask(stack.kafka, answer)
        await stands(stack.kafka, answer, "done")
    assert here.server.answers(here.comment) == ["From eight on"]


@pytest.mark.parametrize("platform", SERVERS)
async def test_an_answer_is_found_behind_many_others_and_what_was_said_before_is_another(
    stack: Any, tmp_path: Path, running: ExitStack, platform: str
) -> None:
    here = place(platform, running)
    server: Server = here.server
    post = here.post or ""
    earlier = datetime.now(UTC) - timedelta(days=7)
    server.said.append(Said("100", here.comment, "brand", "From eight on", post, earlier))
    server.said += [Said(f"{200 + number}", here.comment, "bob", "Me too", post, earlier) for number in range(70)]
    answer = here.errand("answer")
    async with desk(stack.kafka, tmp_path, here.accounts, **here.settings):
        server.lose_answers(2 if platform == "threads" else 1)
        ask(stack.kafka, answer)
        await until(lambda: len(server.answers(here.comment)) == 72, "it to be written")
        server.said += [Said(f"{300 + number}", here.comment, "bob", "So do I", post) for number in range(70)]
        await stands(stack.kafka, answer, "done")
    own = [one for one in server.said if one.by == "brand"]
    assert [one.text for one in own] == ["From eight on", "From eight on"]
    assert states(stack.kafka, answer.id)[-1].done_as == own[-1].id


async def test_on_instagram_an_answer_to_an_answer_is_looked_for_where_it_stands(
    stack: Any, tmp_path: Path, running: ExitStack
) -> None:
    here = place("instagram", running)
    server: Meta = here.server
    server.said.append(Said("18", here.comment, "bob", "And on Mondays?", here.post or ""))
    answer = here.errand("answer", thing="18")
    async with desk(stack.kafka, tmp_path, here.accounts, **here.settings):
        server.lose_answers(1)
        ask(stack.kafka, answer)
        await stands(stack.kafka, answer, "done")
    assert [one.to for one in server.said if one.by == "brand"] == [here.comment]


async def test_a_like_that_is_there_already_is_done(stack: Any, tmp_path: Path, running: ExitStack) -> None:
    here = place("linkedin", running)
    like = here.errand("like")
    async with desk(stack.kafka, tmp_path, here.accounts, **here.settings):
        here.server.refuse(Refusal(409, {"status": 409, "message": "The reaction exists"}))
        ask(stack.kafka, like)
        await stands(stack.kafka, like, "done")


@pytest.mark.parametrize("why", ["too much followed", "taken back", "without an author", "not shown", "not found"])
async def test_where_nobody_can_tell_whether_a_message_arrived_it_is_not_sent_again(
    stack: Any, tmp_path: Path, running: ExitStack, why: str
) -> None:
    here = place("facebook", running)
    server: Meta = here.server
    server.message("ada", "From eight on", mine=True)  # last week's
    asked = server.message("ada", "When do you open?")
    for number in range(20 if why == "too much followed" else 1):
        server.message("ada", f"Hello? {number}")
    match why:
        case "taken back":
            server.said[:] = [one for one in server.said if one.id != asked]
        case "without an author":
            server.said.append(Said("m_unknown", "to ada", "", "From eight on"))
        case "not shown":
            server.hiding.add("ada")
    one = here.errand("answer", thing=asked, thing_kind="message", follower="ada")
    async with desk(stack.kafka, tmp_path, here.accounts, **here.settings):
        server.lose_answers(1, Refusal(400, {"error": {"code": 1200, "message": "Temporary failure"}}))
        if why == "not found":
            server.talks = []
        ask(stack.kafka, one)
        assert await stands(stack.kafka, one, "refused") == UNTOLD
    assert [each.text for each in server.said if each.by == "brand"] == ["From eight on", "From eight on"]


async def test_messages_to_one_person_arrive_in_the_order_in_which_they_were_written(
    stack: Any, tmp_path: Path, running: ExitStack
) -> None:
    here = place("facebook", running)
    server: Meta = here.server
    asked = {who: server.message(who, "When do you open?") for who in ("ada", "bob")}

    def message(who: str, text: str) -> Any:
        return here.errand("answer", thing=asked[who], thing_kind="message", follower=who, text=text)

    first, second = message("ada", "From eight on"), message("ada", "But not on Mondays")
    other = message("bob", "Hello")
    async with desk(stack.kafka, tmp_path, here.accounts, **here.settings):
        server.refuse(Refusal(503, {}))  # the first has to be looked for, which takes a while
        ask(stack.kafka, first, second, other)
        for each in (first, second, other):
            await stands(stack.kafka, each, "done")
    written = [each.text for each in server.said if each.by == "brand"]
    assert written == ["Hello", "From eight on", "But not on Mondays"]


async def test_youtubes_quota_is_not_exceeded(stack: Any, tmp_path: Path, running: ExitStack) -> None:
    here = place("youtube", running)
    cost = youtube_speaker.WRITING
    here.settings["youtube_units"] = 4 * cost + 20  # half of it is for reading
    errands = [here.errand("answer", text=f"answer {number}") for number in range(4)]
    async with desk(stack.kafka, tmp_path, here.accounts, **here.settings):
        ask(stack.kafka, *errands)

        def ended() -> list[str]:
            return sorted(str(state(stack.kafka, one.id)) for one in errands)

        await until(lambda: ended() == ["done", "done", "waiting", "waiting"], lambda: f"two to be done: {ended()}")
    assert len(here.server.answers(here.comment)) == 2


async def test_once_youtube_says_that_the_quota_is_used_up_nothing_is_tried_until_it_is_renewed(
    stack: Any, tmp_path: Path, running: ExitStack
) -> None:
    here = place("youtube", running)
    here.server.quota = 0
    new, perhaps_sent = here.errand("answer"), here.errand("answer", text="At nine", ago=timedelta(minutes=5))
    async with desk(stack.kafka, tmp_path, here.accounts, **here.settings):
        for one in (new, perhaps_sent):
            ask(stack.kafka, one)
        assert await stands(stack.kafka, new, "waiting") == desk_module.LIMITED
        await asyncio.sleep(3)  # it was tried each second
        assert len(here.server.requests) <= 2


@pytest.mark.parametrize("platform", [each for each in PUSHING if "hide" in ABLE[each]])
async def test_of_what_was_asked_for_in_turns_the_last_counts(
    stack: Any, tmp_path: Path, running: ExitStack, platform: str
) -> None:
    """Both wait for a token, and nobody knows which of them is tried first once it is there."""
    here = place(platform, running)
    hide, show = here.errand("hide"), here.errand("unhide")
    async with desk(stack.kafka, tmp_path, here.accounts, **here.settings):
        if platform == "youtube":
            here.server.tokens.clear()
        else:
            here.server.token = "another"
        ask(stack.kafka, hide)
        await stands(stack.kafka, hide, "waiting")
        ask(stack.kafka, show)
        await stands(stack.kafka, show, "waiting")
        if platform == "youtube":
            here.server.tokens["the-token"] = "UCroastery"
        else:
            here.server.token = "the-token"
        await stands(stack.kafka, show, "done")
        assert await stands(stack.kafka, hide, "refused") == desk_module.REPLACED
        again = here.errand("hide")
        ask(stack.kafka, again)
        await stands(stack.kafka, again, "done")
    hidden = here.server.held if platform == "youtube" else here.server.hidden
    assert hidden == {here.comment}


def someone(network: Network) -> Person:
    return network.create_account(f"p{uuid4().hex[:10]}")


async def test_bluesky_is_answered_on_its_own_server_software(stack: Any, tmp_path: Path, bluesky: Network) -> None:
    brand, ada = someone(bluesky), someone(bluesky)
    post = brand.post("Fresh beans today")
    comment = ada.post("Are you open?", reply=post)
    its = account("bluesky", did=brand.did, service=brand.pds, password=PASSWORD)
    here = Place("bluesky", bluesky, its, comment.uri, post.uri, {"plc_directory": bluesky.plc})
    text = "From eight on, see https://roastery.example/ö."
    answer, like = here.errand("answer", text=text), here.errand("like")
    wrong = here.errand("answer", thing=comment.uri + "x")
    async with desk(stack.kafka, tmp_path / "one", here.accounts, **here.settings):
        ask(stack.kafka, answer, like, wrong)
        for one, how in ((answer, "done"), (like, "done"), (wrong, "refused")):
            await stands(stack.kafka, one, how)
        assert states(stack.kafka, wrong.id)[-1].why == GONE
    written = brand.records("app.bsky.feed.post")
    answers = [one for one in written if one["value"]["text"] == text]
    assert len(answers) == 1
    assert answers[0]["uri"] == states(stack.kafka, answer.id)[-1].done_as
    assert answers[0]["value"]["reply"] == {"root": post.strong, "parent": comment.strong}
    (facet,) = answers[0]["value"]["facets"]
    index = facet["index"]
    assert text.encode()[index["byteStart"] : index["byteEnd"]].decode() == "https://roastery.example/ö"
    assert [one["value"]["subject"] for one in brand.records("app.bsky.feed.like")] == [comment.strong]


async def test_what_is_hidden_on_blueskys_own_server_software_stands_in_the_gate_of_the_thread(
    stack: Any, tmp_path: Path, bluesky: Network
) -> None:
    brand, ada, bob = someone(bluesky), someone(bluesky), someone(bluesky)
    post, plain, elsewhere = brand.post("Fresh beans today"), brand.post("Closed on Monday"), bob.post("Good coffee?")
    comment, advert = ada.post("Are you open?", reply=post), bob.post("Buy mine", reply=post)
    other, mention = ada.post("Why?", reply=plain), ada.post("Ask", reply=elsewhere, mentions=[brand])
    rules = {"allow": [{"$type": f"{THREADGATE}#followingRule"}], "noted": {"by": "a later app"}}
    brand.hide(post, advert, **rules)
    its = account("bluesky", did=brand.did, service=brand.pds, password=PASSWORD)
    here = Place("bluesky", bluesky, its, comment.uri, post.uri, {"plc_directory": bluesky.plc})

    def wish(deed: str, thing: Ref, thread: Ref) -> Any:
        return here.errand(deed, thing=thing.uri, thread=thread.uri)

    def gates() -> dict[str, Any]:
        return {one["value"]["post"]: one["value"] for one in brand.records(THREADGATE)}

    hides, again, hides_other = wish("hide", comment, post), wish("hide", comment, post), wish("hide", other, plain)
    foreign = wish("hide", mention, elsewhere)
    async with desk(stack.kafka, tmp_path, here.accounts, **here.settings):
        ask(stack.kafka, hides, again, hides_other, foreign)
        for one in (again, hides_other):
            await stands(stack.kafka, one, "done")
        assert "below a post of somebody else" in (await stands(stack.kafka, foreign, "refused") or "")
        assert gates()[post.uri]["hiddenReplies"] == [advert.uri, comment.uri]
        assert gates()[plain.uri]["hiddenReplies"] == [other.uri]
        assert "allow" not in gates()[plain.uri]
        assert {name: gates()[post.uri][name] for name in rules} == rules
        shows = wish("unhide", comment, post)
        ask(stack.kafka, shows)
        await stands(stack.kafka, shows, "done")
    assert gates()[post.uri]["hiddenReplies"] == [advert.uri]
    assert {name: gates()[post.uri][name] for name in rules} == rules
    assert len(gates()) == 2


async def test_a_wrong_app_password_is_told(stack: Any, tmp_path: Path, bluesky: Network) -> None:
    brand = someone(bluesky)
    post = brand.post("Fresh beans today")
    its = account("bluesky", did=brand.did, service=brand.pds, password="wrong")
    here = Place("bluesky", bluesky, its, post.uri, post.uri, {"plc_directory": bluesky.plc})
    one = here.errand("answer")
    async with desk(stack.kafka, tmp_path, here.accounts, **here.settings):
        ask(stack.kafka, one)
        assert await stands(stack.kafka, one, "waiting") == "its server does not accept its app password"
