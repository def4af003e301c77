"""`rapport erase`, as somebody at a terminal uses it."""

from datetime import UTC, datetime

import pytest
from pymongo.database import Database
from typer.testing import CliRunner, Result

from rapport.cli import app
from rapport.contracts.controls import FollowerErased
from rapport.kit.mongo import Document
from rapport.local.servers.stack import Running
from tests.services.api import samples
from tests.services.api.conftest import ADMIN_KEY, Served, own_brand
from tests.services.api.log import controls

pytestmark = pytest.mark.stack


@pytest.fixture
def brand(api: Served, views: Database[Document]) -> str:
    """A brand that knows one person."""
    brand = own_brand()
    api.brand(brand)
    known = samples.follower("did:plc:ada", brand, datetime(2026, 11, 1, tzinfo=UTC), name="Ada\x1b[2J Lovelace")
    views["followers"].insert_one(samples.stored_follower(known))
    return brand


def typed(api: Served, brand: str, follower: str, *more: str, answer: str = "") -> Result:
    """The command's end. `answer` is typed when it asks."""
    where = {"RAPPORT_API_URL": api.url, "RAPPORT_KEY": ADMIN_KEY}
    return CliRunner().invoke(app, ["erase", brand, "bluesky", follower, *more], input=answer, env=where)


def erased(stack: Running, brand: str) -> set[str]:
    """Who is erased, by the log."""
    found = controls(stack.kafka, brand).values()
    return {each.follower for some in found for each in some if isinstance(each, FollowerErased)}


def test_nobody_is_erased_who_is_not_known_unless_that_is_meant(api: Served, stack: Running, brand: str) -> None:
    refused = typed(api, brand, "did:plc:adda", "--yes")
    said = f"nobody with the id 'did:plc:adda' on 'bluesky' is known for '{brand}', so nothing was erased"
    assert (refused.exit_code, said in refused.stderr) == (1, True), refused.output
    nowhere = typed(api, "no-such-brand", "did:plc:ada", "--yes", "--unknown")
    assert (nowhere.exit_code, "no brand" in nowhere.stderr) == (1, True), nowhere.output
    assert erased(stack, brand) == set()
    meant = typed(api, brand, "did:plc:adda", "--unknown", answer="y\n")
    assert "Forget did:plc:adda, who is not known yet, on bluesky" in meant.stderr
    assert (meant.exit_code, erased(stack, brand)) == (0, {"did:plc:adda"}), meant.output


def test_it_asks_by_name_before_it_forgets_anybody(api: Served, stack: Running, brand: str) -> None:
    for answer in ("n\n", "\n", ""):
        asked = typed(api, brand, "did:plc:ada", answer=answer)
        assert f"Forget Ada[2J Lovelace (@ada.example, did:plc:ada) on bluesky for {brand}, for good?" in asked.stderr
        assert asked.exit_code == 1
    assert erased(stack, brand) == set()
    assert typed(api, brand, "did:plc:ada", answer="y\n").exit_code == 0
    assert erased(stack, brand) == {"did:plc:ada"}


def test_who_has_said_yes_is_not_asked(api: Served, stack: Running, brand: str) -> None:
    done = typed(api, brand, "did:plc:ada", "--yes")
    assert (done.exit_code, done.stdout.startswith("erased at ")) == (0, True), done.output
    assert erased(stack, brand) == {"did:plc:ada"}
