"""As whom a LinkedIn page speaks, and by what its answers are recognised, however its account was connected."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime

import pytest

from rapport.contracts.errands import Errand
from services.ingest.connectors.linkedin.speaker import LinkedInSpeaker
from tests.services.ingest.connectors.kept import Answers

pytestmark = pytest.mark.anyio
COMMENT = "urn:li:comment:(urn:li:activity:7,8)"
ANSWER = {
    "id": "9", "commentUrn": "urn:li:comment:(urn:li:activity:7,9)", "object": "urn:li:activity:7",
    "actor": "urn:li:organization:1", "message": {"text": "From eight on"},
}  # fmt: skip


@pytest.mark.parametrize("connected_as", ["1", "urn:li:organization:1", "urn:li:company:1", " urn:li:company:1 "])
@pytest.mark.parametrize("shown_as", ["urn:li:organization:1", "urn:li:company:1"])
async def test_a_page_speaks_as_its_organization_and_finds_what_it_said(connected_as: str, shown_as: str) -> None:
    shown = {**ANSWER, "actor": shown_as}

    def answer(_: str, asked: Mapping[str, str]) -> bytes:
        return json.dumps({"elements": [shown]} if "count" in asked else shown).encode()

    api = Answers(answer)
    speaker = LinkedInSpeaker(api, connected_as)
    errand = Errand(
        id="errand", brand="roastery", platform="linkedin", account="account", deed="answer", exchange="exchange",
        follower="urn:li:person:ada", thing=COMMENT, thing_kind="comment", by="Bea", at=datetime.now(UTC),
        post="urn:li:activity:7", text="From eight on",
    )  # fmt: skip
    done = await speaker.do(errand)
    assert api.asked[-1][1]["actor"] == "urn:li:organization:1"
    assert await speaker.find(errand) == done
