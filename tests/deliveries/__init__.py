"""Deliveries of platforms, in the shapes that their vendors document, and the interactions that each becomes.

`<platform>/<name>.json` has where the shape is documented (`source`), what happened (`says`), the accounts that are
connected, and the `body` (or, for what is not JSON as a whole, `text`). `<name>.expected.json` has the interactions.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from rapport.contracts.events import Account
from services.ingest.connectors.platforms import PlatformSettings, hooks
from services.ingest.hooks.delivery import Lookup, Watched
from services.ingest.hooks.hook import Hook

FOLDER = Path(__file__).parent
OBSERVED_AT = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
SECRET, OLD_SECRET = "a-new-secret-of-the-app", "an-old-secret-of-the-app"
TOKEN = "a-verify-token"
SETTINGS = PlatformSettings(
    port=0,
    facebook_secrets=SecretStr(f"{SECRET},{OLD_SECRET}"),
    facebook_verify_token=SecretStr(TOKEN),
    instagram_secrets=SecretStr(f"{SECRET},{OLD_SECRET}"),
    instagram_verify_token=SecretStr(TOKEN),
    threads_secrets=SecretStr(f"{SECRET},{OLD_SECRET}"),
    threads_verify_token=SecretStr(TOKEN),
    linkedin_secrets=SecretStr(f"{SECRET},{OLD_SECRET}"),
    x_secrets=SecretStr(f"{SECRET},{OLD_SECRET}"),
    tiktok_secrets=SecretStr(f"{SECRET},{OLD_SECRET}"),
)
HOOKS: Mapping[str, Hook] = hooks(SETTINGS)


@dataclass(frozen=True)
class Recorded:
    """A delivery and what is expected of it."""

    platform: str
    name: str
    body: bytes
    lookup: Lookup
    expected: list[dict[str, Any]]


def recorded() -> Iterator[Recorded]:
    """All of them."""
    for file in sorted(FOLDER.glob("*/*.json")):
        if file.name.endswith(".expected.json"):
            continue
        found = json.loads(file.read_text())
        assert found["source"].startswith("https://"), f"{file}: where is its shape documented?"
        body = found["text"].encode() if "text" in found else json.dumps(found["body"]).encode()
        expected = json.loads(file.with_suffix(".expected.json").read_text())
        yield Recorded(file.parent.name, file.stem, body, lookup(file.parent.name, found["accounts"]), expected)


def lookup(platform: str, accounts: list[dict[str, Any]]) -> Lookup:
    """These accounts: each with `id` (the platform's), and `brand`, `account`, `staff`, `own` where it matters."""
    watched = [
        Watched(
            brand=each.get("brand", "roastery"),
            account=Account(
                id=each.get("account", f"{platform}-roastery"),
                platform=platform,
                handle=each.get("handle", "Roastery"),
                connected_at=datetime(2026, 1, 1, tzinfo=UTC),
                door_secrets=(),
                connection={HOOKS[platform].id_field: each["id"], **each.get("connection", {})},
                staff=tuple(each.get("staff", ())),
            ),
            id=each["id"],
            own=frozenset([each["id"], *each.get("own", ())]),
        )
        for each in accounts
    ]
    return lambda its_id: [each for each in watched if each.id == its_id]
