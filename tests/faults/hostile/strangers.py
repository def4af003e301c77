"""What strangers send: the inputs that broke something once, and their relatives. No I/O."""

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.services.ingest.jetstream import MICROSECONDS, commit

POST = "app.bsky.feed.post"
LIKE = "app.bsky.feed.like"
FOLLOW = "app.bsky.graph.follow"

TIMES = (
    "0001-01-01T00:00:00Z",
    "0001-01-01T00:00:00+01:00",
    "9999-12-31T23:59:59-01:00",
    "9999-12-31T23:59:59.999999Z",
    "1500-06-01T12:00:00Z",
    "1969-12-31T23:59:59Z",
    "1970-12-31T23:59:59Z",
    "2026-13-01T00:00:00Z",
    "2026-02-29T00:00:00Z",
    "2026-11-28T25:00:00Z",
    "2026-11-28",
    "202612010900",
    "yesterday",
    "",
)
TEXTS = (
    "=?utf-8?q?a=0D=0A=0D=0ACall_+1_555_0100_now!=0D=0A?=",
    "a\r\nBcc: everybody@example.com\r\n\r\nHello",
    "\u202egnp.exe\u2066 \u200b\u200f\u2028\u2029\x00\x07\x1b[31m\x7f\x85",
    "<script>alert(1)</script>{{7*7}}${jndi:ldap://x}%s%n",
    "=cmd|'/c calc'!A1",
    "\u00a0\uff1d1+1",
    "\ud83d\ude00" * 500,
    "Z" + "\u0300" * 3_000,
    "हिन्दी की दुकान कब खुलेगी?",
    "秋の新ブレンドが本日より発売中です",
    "İSTANBUL'da var mı?",
    "   \u200b\ufeff ",
    "#" * 2_000,
    "a " * 20_000,
    "(a+)+$" * 2_000,
)
IDS = ("../../etc/passwd", "a/b#c?d=%00", "$where", "__proto__", "\u202e", " ", "x" * 5_000, "-1", "did:plc:\x00", "é")
URLS = ("javascript:alert(1)", "http://[", "https://" + "a" * 20_000 + ".example/", "//x", "https://e.example/\r\nX: y")
ZONES = ("America/Ciudad_Juarez", "America/Coyhaique", "Asia/Almaty", "Asia/Kathmandu", "Pacific/Apia")
KINDS = ("comment", "mention", "message", "reply", "reaction", "share", "follow", "post", "edit", "delete", "hide")


def interactions(seed: int, now: datetime) -> Iterator[dict[str, Any]]:
    """Items for the door, without end; each may or may not be taken."""
    dice = random.Random(f"strangers {seed}")
    number = 0
    while True:
        number += 1
        kind = dice.choice(KINDS)
        made: dict[str, Any] = {
            "id": f"{seed}-{number}",
            "kind": kind,
            "actor": {"id": f"stranger-{dice.randrange(50)}"},
            "post": f"post-{dice.randrange(5)}",
            "text": "Is it still there?",
            "occurred_at": (now - timedelta(seconds=dice.randrange(3_600))).isoformat(),
        }
        if kind in ("edit", "delete", "hide"):
            made["object"] = {"id": f"{seed}-{dice.randrange(number)}"}
        if kind == "reply":
            made["parent"] = {"id": f"{seed}-{dice.randrange(number)}", "actor": f"stranger-{dice.randrange(50)}"}
        # Another type comes last: the other changes need the usual ones.
        for change in sorted(dice.sample(_CHANGES, dice.choice((0, 1, 1, 2))), key=lambda one: one is _type):
            change(dice, made)
        yield made


def _time(dice: random.Random, made: dict[str, Any]) -> None:
    made["occurred_at"] = dice.choice(TIMES)


def _text(dice: random.Random, made: dict[str, Any]) -> None:
    made["text"] = dice.choice(TEXTS)


def _name(dice: random.Random, made: dict[str, Any]) -> None:
    made["actor"] |= {"name": dice.choice(TEXTS), "handle": dice.choice((*TEXTS, "nytimes.com"))}


def _address(dice: random.Random, made: dict[str, Any]) -> None:
    made["object"] = {"id": f"o-{dice.randrange(100)}", "url": dice.choice(URLS)}
    made["actor"]["avatar_url"] = dice.choice(URLS)


def _long_address(dice: random.Random, made: dict[str, Any]) -> None:
    made["actor"] = {"id": "one-follower"}
    made["kind"] = "comment"
    made["object"] = {"id": made["id"], "url": f"https://example.com/{made['id']}/" + "u" * 90_000}


def _id(dice: random.Random, made: dict[str, Any]) -> None:
    made[dice.choice(("id", "post", "thread", "conversation"))] = dice.choice(IDS)


def _person(dice: random.Random, made: dict[str, Any]) -> None:
    made["actor"]["id"] = dice.choice(IDS)


def _amount(dice: random.Random, made: dict[str, Any]) -> None:
    made |= {"kind": "purchase", "amount": dice.choice(("1e999999", "-1e400", "NaN", 1e308, "0." + "0" * 400 + "1"))}


def _unknown(dice: random.Random, made: dict[str, Any]) -> None:
    made[dice.choice(("txt", "$set", "nul\x00", "a.b", "x" * 300))] = {"$ne": None}


def _type(dice: random.Random, made: dict[str, Any]) -> None:
    made[dice.choice(("kind", "actor", "text", "media", "undo", "id"))] = dice.choice(
        (0, None, [], {}, [[]], True, 2**80, "kind", -0.0)
    )


_CHANGES = (_time, _text, _name, _address, _long_address, _id, _person, _amount, _unknown, _type)

BODIES: tuple[bytes, ...] = (
    b"",
    b"[",
    b"[" * 100_000,
    b"[" + b"0," * 500_000 + b"0]",
    b'{"id":' * 5_000,
    b"\xff\xfe{}",
    b"\x00" * 1_000,
    b"{}\n" * 100_000,
    b'{"a":' + b"9" * 500_000 + b"}",
    json.dumps([{"id": "same", "kind": "comment", "actor": {"id": "a"}}] * 5_000).encode(),
)
"""Bodies for the door that are no interactions, or too many."""


def frames(seed: int, brand: str, now: datetime) -> Iterator[tuple[int, dict[str, Any] | str]]:
    """Frames of a Jetstream at their times in microseconds, without end. `brand` is the DID of the account."""
    dice = random.Random(f"frames {seed}")
    at = int(now.timestamp() * MICROSECONDS)
    number = 0
    post = {"uri": f"at://{brand}/{POST}/root{seed}", "cid": "bafyroot"}
    while True:
        number += 1
        at += 1
        did, rkey = f"did:plc:stranger{dice.randrange(40)}", f"r{seed}x{number}"
        created = dice.choice((*TIMES, (now - timedelta(days=2)).isoformat(), now.isoformat()))
        comment = {"text": dice.choice(TEXTS), "createdAt": created, "reply": {"root": post, "parent": post}}
        shape = dice.randrange(8)
        if shape == 0:
            yield at, commit(did, at, FOLLOW, rkey, {"subject": brand, "createdAt": created})
        elif shape == 1:
            yield at, commit(did, at, LIKE, rkey, {"subject": post, "createdAt": created})
        elif shape == 2:
            yield at, commit(did, at, FOLLOW, f"r{seed}x{dice.randrange(number)}", operation="delete")
        elif shape == 3:
            status = dice.choice(("deleted", "takendown", "suspended", "deactivated", "unheard-of"))
            account = {"active": False, "did": did, "seq": number, "status": status, "time": now.isoformat()}
            yield at, {"did": did, "time_us": at, "kind": "account", "account": account}
        elif shape == 4:
            broken = commit(did, at, POST, rkey, comment)
            where = dice.choice(("did", "time_us", "kind", "commit"))
            broken[where] = dice.choice((None, 2**70, -(2**62), [], "\x00", {"rev": 1}))
            yield at, broken
        elif shape == 5:
            strange: dict[str, Any] = {**comment, dice.choice(("reply", "text", "embed", "langs", "facets")): [[1]]}
            yield at, commit(did, at, POST, rkey, strange)
        elif shape == 6:
            yield at, dice.choice(("", "{", "null", "[]", '"x"', '{"did":1}', "\ufffd" * 1_000))
        else:
            yield at, commit(did, at, POST, rkey, comment)


@dataclass(frozen=True)
class Ask:
    """One request to the API that a client of the agency might make, or somebody with such a client's key."""

    method: str
    path: str
    query: dict[str, Any] = field(default_factory=dict)
    body: object = None
    raw: bytes | None = None
    content_type: str = "application/json"


def asks(brand: str) -> list[Ask]:
    """Requests to the API under `/v1`, each of which once held up or broke something, or is like one that did."""
    here = f"/brands/{brand}"
    rule = "FREQ=SECONDLY"
    holidays = [
        f"BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:{number}\r\nDTSTART:19710101T000000Z\r\nRRULE:{rule}\r\n"
        "SUMMARY:Always\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
        for number in range(4)
    ]
    words = [f"word{number}" for number in range(150)]
    return [
        *(Ask("GET", f"{here}/{view}", {name: value}) for view in ("new", "consistency", "mix", "calendar", "exchanges",
            "followers", "answering", "movers", "overview", "alerts") for name, value in (("from", "9999-12-26"),
            ("to", "0001-01-01"), ("cursor", "\x00"), ("limit", 2**70), ("day", "9999-12-31"), ("$where", "1"))),
        *(Ask("POST", f"{here}/policy/holidays", raw=body.encode(), content_type="text/calendar") for body in holidays),
        Ask("POST", f"{here}/calendar/import", raw=b'"', content_type="text/csv"),
        Ask("POST", f"{here}/calendar/import", raw=b"id,planned_at\n" + b'"\n' * 50_000, content_type="text/csv"),
        Ask("PUT", f"{here}/policy", body={"rules": [{"target_seconds": 1, "when": {"words": words}}] * 500}),
        Ask("PUT", f"{here}/policy", raw=b'{"rules\x00": [], "a\\u0000b": 1}'),
        Ask("PUT", f"{here}/mix/settings", body={"rules": [{"category": "personal", "words": words}] * 150}),
        Ask("PUT", f"{here}/channels", body={"channels": [{"type": "mail", "id": "m", "to": "a..b@example.com"}] * 99}),
        Ask("POST", f"{here}/calendar/posts", body={"id": "z", "account": "x", "planned_at": TIMES[2]}),
        Ask("POST", f"{here}/campaigns", body={"id": "c", "kind": "giveaway", "name": "\u202e", "hashtag": "#हिन्दी",
            "starts_at": "0001-01-01T00:00:00Z", "ends_at": "9999-12-31T23:59:59Z"}),
        Ask("POST", f"{here}/communities/check", raw=b"[" * 50_000),
        Ask("POST", f"{here}/communities", body={"id": "c", "name": "n", "rule": "(" * 20_000}),
        *(Ask("POST", "/brands", body={"id": f"{brand}-{number}", "name": TEXTS[number % len(TEXTS)], "timezone": zone})
          for number, zone in enumerate(ZONES)),
        *(Ask("POST", f"{here}/accounts", body={"id": identity, "platform": "bluesky", "handle": "x",
            "connection": {"did": "did:plc:x", "service": address}}) for identity, address in
            (("inside", "http://127.0.0.1:1"), ("meta", "http://169.254.169.254"), ("../up", "ws://localhost"))),
    ]  # fmt: skip


def recently() -> datetime:
    """Now, in UTC."""
    return datetime.now(UTC)
