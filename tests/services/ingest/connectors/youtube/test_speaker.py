"""An answer that is written here to a reply answers whoever wrote that, also as it is read back."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from rapport.contracts.errands import Errand
from rapport.contracts.events import Parent
from rapport.kit.http.outgoing import Guard, GuardedHttp
from services.ingest.connectors.youtube.speaker import YoutubeSpeaker, _refused
from services.ingest.errands.words import GONE
from services.ingest.polling.api import Api, AwayError, RefusedError, Turns
from services.ingest.polling.sizes import Sizes
from tests.platforms.youtube import YoutubeServer
from tests.services.ingest.connectors.youtube.test_checks import World

pytestmark = pytest.mark.anyio


class Talk:
    """Yara answers below Xena's comment, and is answered from here."""

    def __init__(self, server: YoutubeServer) -> None:
        self.server = server
        self.world = World(server)
        server.tokens["token"] = self.world.channel
        self.top = server.comment(self.world.channel, "Lovely", author="UCxena")
        self.theirs = server.reply(self.top, "Are you open?", author="UCyara")
        http, headers = GuardedHttp(Guard(allow_private=True), timeout=20.0), {"Authorization": "Bearer token"}
        api = Api(http, "youtube", server.address, headers, self.world.quota, Turns(), self.world.now, refused=_refused)
        self.speaker = YoutubeSpeaker(api, api, self.world.channel, Sizes(self.world.now))

    def errand(self, text: str = "From eight on", *, to: str | None = None) -> Errand:
        return Errand(
            id="errand", brand="brand", platform="youtube", account="account", deed="answer", exchange="exchange",
            follower="UCyara", thing=to or self.theirs, thing_kind="comment", by="Bea", at=datetime.now(UTC),
            thread="video", post="video", text=text,
        )  # fmt: skip

    def name(self, comment: str, name: str) -> None:
        self.server._comments[comment].name = name


@pytest.fixture
def talk() -> Iterator[Talk]:
    with YoutubeServer() as running:
        yield Talk(running)


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("From eight on", "@ucyara From eight on"),
        ("@UCyara, from eight on", "@UCyara, from eight on"),
        ("@ucxena says from eight on", "@ucyara @ucxena says from eight on"),
    ],
)
async def test_it_begins_with_their_handle_and_counts_for_them(talk: Talk, text: str, sent: str) -> None:
    done = await talk.speaker.do(talk.errand(text))
    assert talk.server.answers(talk.top)[-1] == sent
    await talk.world.read()
    (reply,) = [one for one in talk.world.kept.told if one.kind == "reply"]
    assert (reply.id, reply.parent) == (done.id, Parent(talk.theirs, "UCyara"))


async def test_an_answer_to_the_comment_on_top_is_sent_as_it_is(talk: Talk) -> None:
    await talk.speaker.do(talk.errand(to=talk.top))
    assert talk.server.answers(talk.top)[-1] == "From eight on"


@pytest.mark.parametrize("name", ["Yara", "@ucyara: see evil.example", "@ucyara see evil.example", "@a/b", "@"])
async def test_who_has_no_handle_is_not_named(talk: Talk, name: str) -> None:
    talk.name(talk.theirs, name)
    await talk.speaker.do(talk.errand())
    assert talk.server.answers(talk.top)[-1] == "From eight on"


@pytest.mark.parametrize("text", ["From eight on", "From\u200beight on"])
@pytest.mark.parametrize("unseen", ["", "\u200b"])
async def test_what_may_have_been_sent_is_found_with_the_handle_and_not_taken_for_somebody_elses(
    talk: Talk, unseen: str, text: str
) -> None:
    other = talk.server.reply(talk.top, "And on Mondays?", author="UCzoe")
    await talk.speaker.do(talk.errand(text, to=other))
    assert await talk.speaker.find(talk.errand(text)) is None
    talk.server.lose_answers()
    with pytest.raises(AwayError):
        await talk.speaker.do(talk.errand(text))
    sent = talk.server._comments[talk.top].replies[-1]
    sent.text = f"{unseen}{sent.text}"
    found = await talk.speaker.find(talk.errand(text))
    assert found is not None
    assert found.id == sent.id


async def test_the_handle_counts_among_the_characters(talk: Talk) -> None:
    with pytest.raises(RefusedError, match="it has 10,008 characters; YouTube takes 10,000"):
        await talk.speaker.do(talk.errand("x" * 10_000))
    await talk.speaker.do(talk.errand("x" * 9_992))
    assert len(talk.server.answers(talk.top)) == 2


async def test_what_is_not_there_any_more_is_not_answered(talk: Talk) -> None:
    talk.server.delete(talk.theirs)
    with pytest.raises(RefusedError, match=GONE):
        await talk.speaker.do(talk.errand())
    assert talk.server.answers(talk.top) == []
