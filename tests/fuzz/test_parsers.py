"""Every function that reads outside text takes anything: it gives a result or raises what it documents."""

import ast
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, get_args
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rapport.contracts import codec, rows
from rapport.contracts.controls import PolicyRule
from rapport.contracts.events import Account
from rapport.domain import charges, local_times
from rapport.domain.communities import community
from rapport.domain.communities import text as community_text
from rapport.domain.policies import business_time
from rapport.kit import mail_address
from services.api.accounts import connections
from services.api.calendar import times as plan_times
from services.api.charges import service as charging
from services.api.connecting.vendors import meta, vendor
from services.api.connecting.vendors.asking import VendorError
from services.api.http import ids, paging
from services.api.http.files import tables
from services.api.http.problems import ProblemError
from services.api.policies.holidays import service as holidays
from services.api.storage import stored
from services.imports import archives, bluesky, formats, lines, mastodon
from services.imports.checking import Checker
from services.imports.entries import Source, UnreadableFileError
from services.imports.table import open_table
from services.ingest import submission
from services.ingest.connectors.bluesky import frames as bluesky_frames
from services.ingest.connectors.bluesky import source as bluesky_source
from services.ingest.connectors.linkedin import normalise as linkedin
from services.ingest.connectors.tiktok import answers as tiktok_answers
from services.ingest.connectors.tiktok import listed as tiktok
from services.ingest.connectors.x import normalise as x
from services.ingest.hooks import meta_pages
from services.ingest.hooks.delivery import UnreadableError, Watched
from services.ingest.polling.api import AttentionError, AwayError, LimitedError, RefusedError
from services.notifier import outbox
from services.notifier.channels import DeliveryError, webhook
from tests.deliveries import HOOKS, META

HERE = Path(__file__).resolve().parents[2]
PRODUCT = ("rapport/contracts", "rapport/domain", "rapport/kit", "services")
OUTSIDE = (
    "str",
    "bytes",
    "BinaryIO",
    "object",
    "Any",
    "Document",
    "Mapping[str, str]",
    "Iterable[tuple[str, bytes | None]]",
)
"""How the first parameter of a function that reads something from outside is annotated, in parts or as a whole."""

NOW = datetime(2026, 11, 28, tzinfo=UTC)
ACCOUNT = Account(id="a", platform="generic", handle="a", connected_at=NOW, door_secrets=("s",))

words = st.one_of(
    st.text(),
    st.text(alphabet="ab0:/@.-+%\\\"'=<>#&?[]{}()\x00\r\n\t\u202e\u00a0\u0301\ufe0fİﬁ한", max_size=80),
    st.sampled_from(
        ["0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00", "http://[", "=?utf-8?q?=0D?=", "e" * 9_000]
    ),
)
typed = words | st.lists(
    st.sampled_from(
        ["2026", "0000", "9999", "10000", "-", "/", ".", ":", "T", " ", "12", "31", "02:30", "25", "Z", "PM"]
    ),
    max_size=12,
).map("".join)
plain: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | words,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=4),
    max_leaves=12,
)


def shaped(*fields: str) -> st.SearchStrategy[Any]:
    """Objects that have some of these fields, with anything in them."""
    return st.dictionaries(st.sampled_from(fields) | words, plain, max_size=8)


def as_json(values: st.SearchStrategy[Any]) -> st.SearchStrategy[bytes]:
    """The values as JSON, at times cut short."""
    encoded = values.map(lambda value: json.dumps(value).encode())
    return st.one_of(
        encoded, encoded.flatmap(lambda body: st.integers(0, len(body)).map(lambda end: body[:end])), st.binary()
    )


interaction = as_json(
    shaped("id", "kind", "actor", "object", "parent", "post", "thread", "text", "amount", "occurred_at", "media")
    | st.fixed_dictionaries(
        {"id": words, "kind": st.sampled_from(["comment", "reply", "delete", "purchase"]),
         "actor": st.fixed_dictionaries({"id": words}, optional={"name": words, "handle": words, "avatar_url": words})},
        optional={"post": words, "text": words, "occurred_at": words, "amount": words, "parent": shaped("id", "actor"),
                  "object": shaped("id", "url")},
    )
)  # fmt: skip
jetstream = as_json(
    st.fixed_dictionaries(
        {"did": words, "time_us": st.integers(), "kind": st.sampled_from(["commit", "account", "identity"])},
        optional={"commit": shaped("rev", "operation", "collection", "rkey", "cid", "record"), "account": plain},
    )
    | shaped("did", "time_us", "kind", "commit")
)
jetstream_v2 = as_json(
    st.fixed_dictionaries(
        {"$type": st.sampled_from(["message", "error"])},
        optional={"payload": shaped("$type", "did", "time", "rev", "operation", "collection", "rkey", "record")},
    )
    | shaped("$type", "payload", "error", "message")
)
brand = as_json(
    shaped("id", "name", "channels", "accounts", "revision")
    | st.fixed_dictionaries(
        {"id": words, "name": words},
        optional={
            "accounts": plain,
            "channels": st.lists(shaped("id", "type", "url", "secret", "to") | plain, max_size=3) | plain,
            "revision": st.integers() | plain,
        },
    )
)
ics_lines = st.lists(
    st.sampled_from(
        ["BEGIN:VCALENDAR", "END:VCALENDAR", "BEGIN:VEVENT", "END:VEVENT", "DTSTART;VALUE=DATE:20261225", "UID:1",
         "DTSTART;TZID=W. Europe Standard Time:20261225T000000", "DTEND:99991231T235959Z", "RRULE:FREQ=YEARLY",
         "SUMMARY;ENCODING=QUOTED-PRINTABLE:Weihn=C3=A4", "SUMMARY:a\r\n b", "EXDATE:x", "RDATE:0001", "DURATION:-P1D"]
    )
    | words,
    max_size=12,
).map(lambda lines: "\r\n".join(lines).encode("utf-8", "surrogatepass"))  # fmt: skip


token_answer = st.fixed_dictionaries(
    {"access_token": st.sampled_from(["token"]) | plain},
    optional={
        name: plain | st.sampled_from([1e308, "86400", "9" * 400, -1, 10**30])
        for name in ("expires_in", "refresh_token", "refresh_token_expires_in", "scope", "open_id")
    },
)
mastodon_outbox = as_json(
    st.fixed_dictionaries(
        {"orderedItems": st.lists(
            st.fixed_dictionaries(
                {"type": st.sampled_from(["Create", "Announce"]) | words, "actor": words},
                optional={"object": plain | st.fixed_dictionaries(
                    {"id": words, "published": typed},
                    optional={"content": words, "inReplyTo": words, "tag": plain, "to": plain, "attachment": plain})},
            )
            | plain,
            max_size=4,
        )}
    )
    | plain
)  # fmt: skip
odd_numbers = st.sampled_from([0, -1, 1e308, 10**30, "9" * 400, 1_795_953_600, 1_795_953_600_000])
linkedin_page = as_json(
    st.fixed_dictionaries(
        {"elements": st.lists(
            st.fixed_dictionaries(
                {"action": st.sampled_from(["COMMENT", "COMMENT_EDIT", "COMMENT_DELETE", "LIKE", "SHARE"]) | words},
                optional={"organizationalEntity": st.just("urn:li:organization:1") | words, "sourcePost": words,
                          "generatedActivity": words, "lastModifiedAt": odd_numbers | plain,
                          "decoratedGeneratedActivity": plain | st.fixed_dictionaries({"comment": shaped(
                              "entity", "owner", "text", "object", "parentComment")})},
            )
            | plain,
            max_size=4,
        )},
        optional={"paging": plain | st.fixed_dictionaries({"count": st.integers() | plain, "links": plain})},
    )
    | plain
)  # fmt: skip
linkedin_posts = as_json(
    st.fixed_dictionaries(
        {"elements": st.lists(
            st.fixed_dictionaries(
                {"id": words, "author": st.just("urn:li:organization:1") | words,
                 "lifecycleState": st.just("PUBLISHED") | words},
                optional={"commentary": words | st.text(alphabet="\\{}|#@[]()hashtgurn:"), "content": plain | shaped(
                    "media", "multiImage", "article"), "createdAt": odd_numbers | plain, "publishedAt": odd_numbers},
            )
            | plain,
            max_size=4,
        )}
    )
    | plain
)  # fmt: skip
tiktok_comment = st.fixed_dictionaries(
    {"comment_id": st.integers() | words},
    optional={"create_time": odd_numbers | plain, "text": words | plain, "owner": st.booleans() | plain,
              "status": st.sampled_from(["HIDDEN", "PUBLIC"]) | plain, "replies": st.integers() | plain,
              "unique_identifier": words | plain, "username": words, "parent_comment_id": words | st.integers()},
)  # fmt: skip
TIKTOK_VIDEO = ("item_id", "comments", "create_time", "caption", "share_url")
tiktok_answer = as_json(
    st.fixed_dictionaries(
        {"code": st.sampled_from([0, 0, 0, 40100, 40105, 40001, 40002, 50000]) | plain},
        optional={"message": words | plain, "data": plain | st.fixed_dictionaries(
            {}, optional={"comments": st.lists(tiktok_comment | plain, max_size=3), "cursor": plain,
                          "videos": st.lists(shaped(*TIKTOK_VIDEO), max_size=3),
                          "has_more": st.booleans() | plain})},
    )
    | plain
)  # fmt: skip
x_page = as_json(
    st.fixed_dictionaries(
        {"data": st.lists(
            st.fixed_dictionaries(
                {"id": words, "author_id": words},
                optional={"text": words, "created_at": typed, "conversation_id": words, "entities": plain,
                          "referenced_tweets": plain, "in_reply_to_user_id": words, "note_tweet": plain},
            )
            | plain,
            max_size=4,
        )},
        optional={"meta": shaped("next_token"), "includes": plain},
    )
    | plain
)  # fmt: skip
WATCHED = Watched("b", ACCOUNT, "urn:li:organization:1", frozenset(["urn:li:organization:1"]))
TIKTOK_REFUSES = (AttentionError, LimitedError, RefusedError, AwayError, UnreadableError)
table = st.binary() | words.map(lambda text: ("id,text\n" + text).encode("utf-8", "surrogatepass"))


def _checked(source: Source) -> None:
    """Reads and checks a whole file."""
    checker = Checker(source, "b", ACCOUNT, NOW, NOW)
    for entry in source.entries():
        checker.check(entry)


@dataclass(frozen=True)
class Case:
    """How a function is called with something from outside, and what it may raise."""

    call: Callable[[Any], object]
    given: st.SearchStrategy[Any]
    refuses: tuple[type[Exception], ...]


CASES: dict[str, Case] = {
    "rapport/contracts/codec.py:decode": Case(
        lambda value: codec.decode(*value),
        st.tuples(
            st.sampled_from(["rapport.interaction.v1", "rapport.brand.v1", "rapport.control.v1"]) | words, interaction
        ),
        (codec.UndecodableError,),
    ),
    "rapport/contracts/codec.py:read_brand": Case(codec.read_brand, brand, (codec.UndecodableError,)),
    "rapport/contracts/codec.py:type_of": Case(
        codec.type_of,
        st.lists(st.tuples(st.just("ce_type") | words, st.none() | st.binary())),
        (codec.UndecodableError,),
    ),
    "rapport/contracts/rows.py:parts_of": Case(rows.parts_of, as_json(plain), (msgspec.DecodeError,)),
    "rapport/domain/charges.py:prices_of": Case(
        charges.prices_of,
        words | st.lists(st.sampled_from(["like.create", "=", "0.1", ",", "*", ".", "1e9"])).map("".join),
        (ValueError,),
    ),
    "services/api/charges/service.py:typed_number": Case(charging.typed_number, words | typed, (ValueError,)),
    "services/ingest/connectors/linkedin/normalise.py:asked": Case(
        lambda body: linkedin.asked(body, WATCHED, NOW), linkedin_page, (UnreadableError,)
    ),
    "services/ingest/connectors/linkedin/normalise.py:posts": Case(
        lambda body: linkedin.posts(body, 50, WATCHED, NOW), linkedin_posts, (UnreadableError,)
    ),
    "services/ingest/connectors/tiktok/answers.py:checked": Case(
        lambda body: tiktok_answers.checked(body, dict[str, Any]), tiktok_answer, TIKTOK_REFUSES
    ),
    "services/ingest/connectors/tiktok/listed.py:comments": Case(
        lambda body: tiktok.comments(body, "7", None, WATCHED, NOW), tiktok_answer, TIKTOK_REFUSES
    ),
    "services/ingest/connectors/tiktok/listed.py:videos": Case(
        lambda body: tiktok.videos(body, WATCHED, NOW), tiktok_answer, TIKTOK_REFUSES
    ),
    "services/ingest/connectors/x/normalise.py:mentions": Case(
        lambda body: x.mentions(body, WATCHED, NOW), x_page, (UnreadableError,)
    ),
    "rapport/domain/policies/business_time.py:zone": Case(business_time.zone, words, (ValueError, OSError)),
    "rapport/domain/communities/community.py:condition": Case(
        lambda value: community.condition(*value),
        st.tuples(words, words, st.integers() | words),
        (ValueError,),
    ),
    "rapport/domain/communities/text.py:parse": Case(community_text.parse, words, (community_text.RuleError,)),
    "rapport/domain/communities/text.py:from_plain": Case(
        community_text.from_plain, plain, (community_text.RuleError,)
    ),
    "rapport/kit/mail_address.py:in_ascii": Case(mail_address.in_ascii, words, (ValueError,)),
    "services/api/accounts/connections.py:check": Case(
        lambda connection: connections.check("bluesky", connection),
        st.dictionaries(st.sampled_from(["service", "jetstream", "did"]) | words, words),
        (ProblemError,),
    ),
    "services/api/connecting/vendors/vendor.py:token_of": Case(vendor.token_of, plain | token_answer, (VendorError,)),
    "services/api/connecting/vendors/vendor.py:granted": Case(
        lambda found: vendor.granted(found, NOW), token_answer, (VendorError,)
    ),
    "services/api/connecting/vendors/meta.py:done": Case(
        lambda found: meta.done(found, "Facebook"), st.dictionaries(st.just("success"), plain), (VendorError,)
    ),
    "services/api/http/paging.py:decode": Case(
        lambda value: paging.decode("kind", value, (int, str)), words, (ProblemError,)
    ),
    "services/api/http/paging.py:position": Case(lambda value: paging.position("kind", value), words, (ProblemError,)),
    "services/api/policies/holidays/service.py:holidays": Case(
        lambda value: holidays.holidays(value, date(2026, 1, 1), date(2027, 12, 31)), ics_lines, (ValueError,)
    ),
    "services/api/http/ids.py:follower_parts": Case(ids.follower_parts, words, (ValueError,)),
    "rapport/domain/local_times.py:read": Case(
        lambda text: local_times.read(text, ZoneInfo("Europe/Berlin")), typed, (ValueError,)
    ),
    "services/api/calendar/times.py:read": Case(
        lambda made: plan_times.read(made[0], ZoneInfo("Europe/Berlin"), made[1]),
        st.tuples(typed, st.none() | st.sampled_from(get_args(plan_times.Order))),
        (ValueError,),
    ),
    "services/api/storage/stored.py:read": Case(
        lambda value: stored.read(value, PolicyRule), plain, (codec.NewerError,)
    ),
    "services/api/storage/stored.py:read_whole": Case(
        lambda value: stored.read_whole(value, PolicyRule), plain, (codec.NewerError,)
    ),
    "services/api/http/files/tables.py:read": Case(
        lambda raw: list(tables.read(raw, ("id", "text"), ("id",), 100)), table, (ProblemError,)
    ),
    "services/ingest/connectors/bluesky/frames.py:from_jetstream": Case(
        bluesky_frames.from_jetstream, jetstream, (bluesky_frames.FrameError,)
    ),
    "services/ingest/connectors/bluesky/frames.py:listed": Case(
        lambda uri: bluesky_frames.listed(uri, "cid", {}, NOW),
        words | st.builds("at://{}/app.bsky.feed.post/{}".format, words, words),
        (bluesky_frames.FrameError,),
    ),
    "services/ingest/connectors/bluesky/frames.py:from_jetstream_v2": Case(
        bluesky_frames.from_jetstream_v2, jetstream_v2, (bluesky_frames.FrameError, bluesky_frames.StreamError)
    ),
    "services/ingest/connectors/bluesky/frames.py:from_repos": Case(
        bluesky_frames.from_repos, st.binary(), (bluesky_frames.FrameError, bluesky_frames.StreamError)
    ),
    "services/ingest/hooks/meta_pages.py:written_at": Case(meta_pages.written_at, typed, (UnreadableError,)),
    "services/ingest/connectors/bluesky/source.py:source_of": Case(
        bluesky_source.source_of,
        st.dictionaries(st.sampled_from(["service", "jetstream", "did"]), words | words.map("wss://".__add__)),
        (bluesky_source.UnusableConnectionError,),
    ),
    "services/api/http/files/tables.py:open_large": Case(
        lambda raw: list(tables.open_large(io.BytesIO(raw), ("id", "text"), ("id",)).rows()), table, (ProblemError,)
    ),
    "services/imports/archives.py:find": Case(
        lambda raw: archives.find(io.BytesIO(raw), len(raw), "outbox.json"), st.binary(), (UnreadableFileError,)
    ),
    "services/imports/bluesky.py:open_repository": Case(
        lambda raw: list(bluesky.open_repository(io.BytesIO(raw), len(raw), "b", ACCOUNT, NOW).entries()),
        st.binary(),
        (UnreadableFileError,),
    ),
    "services/imports/formats.py:format_of": Case(
        lambda value: formats.format_of(*value), st.tuples(words, st.binary().map(io.BytesIO)), (UnreadableFileError,)
    ),
    "services/imports/lines.py:open_lines": Case(
        lambda raw: _checked(lines.open_lines(io.BytesIO(raw), len(raw))),
        st.lists(interaction, max_size=4).map(b"\n".join),
        (UnreadableFileError,),
    ),
    "services/imports/mastodon.py:open_archive": Case(
        lambda raw: _checked(mastodon.open_archive(io.BytesIO(raw), len(raw))), mastodon_outbox, (UnreadableFileError,)
    ),
    "services/imports/table.py:open_table": Case(
        lambda raw: _checked(open_table(io.BytesIO(raw), len(raw), ZoneInfo("Europe/Berlin"), None)),
        words.map(lambda text: ("kind,actor_id,occurred_at\n" + text).encode("utf-8", "surrogatepass")),
        (UnreadableFileError,),
    ),
    "services/ingest/submission.py:read": Case(
        lambda body: submission.read(body, lines=False, brand="b", account=ACCOUNT, observed_at=NOW),
        interaction,
        (submission.NotJsonError, submission.RejectedError),
    ),
    "services/notifier/outbox.py:notice_of": Case(
        outbox.notice_of, shaped("brand", "id", "step"), (msgspec.ValidationError,)
    ),
    "services/notifier/channels/webhook.py:signed": Case(
        lambda secret: webhook.signed("id", secret, b"{}", NOW), words, (DeliveryError,)
    ),
}
ELSEWHERE = {
    "rapport/kit/health.py:serve": "its host is the operator's setting",
    "rapport/kit/broker/kafka_topics.py:check_topics": "its servers are the operator's setting",
    "rapport/kit/broker/kafka_topics.py:missing_topics": "its servers are the operator's setting",
    "rapport/kit/broker/kafka_topics.py:shortfalls": "its servers are the operator's setting",
    "rapport/kit/broker/kafka_topics.py:raise_settings": "its servers are the operator's setting",
    "rapport/kit/broker/kafka.py:admin": "its servers are the operator's setting",
    "rapport/kit/broker/kafka.py:committed": "its servers are the operator's setting",
    "rapport/kit/broker/kafka_topics.py:add_partitions": "its servers are the operator's setting",
    "rapport/kit/broker/kafka_topics.py:counts": "its servers are the operator's setting",
    "rapport/kit/broker/kafka_topics.py:offsets": "its servers are the operator's setting",
    "rapport/kit/broker/kafka_topics.py:offsets_since": "its servers are the operator's setting",
    "rapport/kit/broker/kafka_topics.py:topic_id": "its servers are the operator's setting",
    "rapport/kit/broker/member.py:members": "its servers are the operator's setting",
    "rapport/kit/broker/member.py:described": "its servers are the operator's setting",
    "rapport/kit/broker/dead_letter_box.py:latest": "tests/commands/log/test_dlt.py feeds it letters of strangers",
    "rapport/kit/broker/dead_letter_box.py:opened": "tests/commands/log/test_dlt.py feeds it letters of strangers",
    "rapport/kit/broker/dead_letter_box.py:send_again": "tests/commands/log/test_dlt.py feeds it letters of strangers",
    "services/backup/positions.py:beginnings": "its servers are the operator's setting",
    "services/backup/positions.py:check_idle": "its servers are the operator's setting",
    "services/backup/positions.py:cluster_id": "its servers are the operator's setting",
    "services/backup/positions.py:committed": "its servers are the operator's setting",
    "services/backup/positions.py:fitting": "its servers are the operator's setting",
    "services/backup/positions.py:put": "its servers are the operator's setting",
    "services/backup/rebuild.py:rebuild": "its servers are the operator's setting",
    "services/backup/restore.py:plan": "tests/services/backup/test_archive.py feeds its readers files of others",
    "services/backup/restore.py:restore": "tests/services/backup/test_archive.py feeds it files of others",
    "services/backup/settings.py:take_newer": "its servers are the operator's setting",
    "services/backup/take.py:take": "its servers are the operator's setting",
    "services/doctor/rights.py:look": "its servers are the operator's setting",
    **{
        f"services/ingest/connectors/{name}/normalise.py:read": "tests/services/ingest/hooks damages every delivery"
        for name in HOOKS
    },
    **{
        f"services/ingest/connectors/{platform}/normalise.py:{name}": "tests/services/ingest/hooks damages every page"
        for platform, name in META
    },
    "services/ingest/hooks/meta_messages.py:conversations": "tests/services/ingest/hooks damages every page",
    "services/ingest/hooks/meta_pages.py:page": "tests/services/ingest/hooks damages every page",
    **{
        f"services/ingest/connectors/mastodon/{name}": "its own tests damage every page and every event"
        for name in ("normalise.py:event", "normalise.py:notifications", "normalise.py:statuses")
    },
    "services/ingest/connectors/youtube/normalise.py:comment_counts": "its own tests damage every page",
    "services/ingest/connectors/youtube/normalise.py:ids": "its own tests damage every page",
    "services/ingest/connectors/youtube/normalise.py:replies": "its own tests damage every page",
    "services/ingest/connectors/youtube/normalise.py:threads": "its own tests damage every page",
    "services/ingest/connectors/youtube/normalise.py:uploads": "its own tests damage every page",
    "services/ingest/connectors/youtube/normalise.py:uploads_of": "its own tests damage every page",
    "services/ingest/hooks/delivery.py:decode": "tests/services/ingest/hooks damages every delivery",
    "services/ingest/errands/words.py:read": "tests/services/ingest/errands/test_hostile.py gives it any answer",
    "services/ingest/leases/rows.py:read": "it is `codec.decode`, which has cases",
    "services/ingest/hooks/delivery.py:iso_time_of": "tests/services/ingest/hooks damages every delivery",
    "services/ingest/hooks/meta.py:challenge": "tests/services/ingest/hooks sends it odd challenges",
    "services/ingest/hooks/meta.py:check": "tests/services/ingest/hooks flips each byte",
    "services/ingest/hooks/meta.py:read": "tests/services/ingest/hooks damages every delivery",
    "services/api/projector/reached.py:read_to": "its servers are the operator's setting",
    "services/partitions/change.py:add": "its servers are the operator's setting",
    "services/scorer/positions.py:look": "its servers are the operator's setting",
    "services/scorer/positions.py:accept": "its servers are the operator's setting",
    "rapport/domain/campaigns/draw.py:drawn": "reads what the product made",
    "rapport/domain/identity.py:check": "reads ids that are stored",
    "services/api/projector/upkeep/isolation.py:isolate_each": "takes the name of a task",
    "services/api/projector/upkeep/isolation.py:isolated": "takes the name of a task",
    "services/notifier/channels/mail.py:compose": "tests/services/notifier/channels/test_mail.py feeds it hostile text",
}
"""Functions that look as if they read something from outside, and where they stand instead."""


def test_every_function_that_reads_something_from_outside_is_here() -> None:
    found = {name for folder in PRODUCT for name in _readers(HERE / folder)}
    assert found - set(CASES) - set(ELSEWHERE) == set(), "add a case, or say why none is needed"
    assert set(CASES) | set(ELSEWHERE) <= found, "gone"


def _readers(folder: Path) -> list[str]:
    """Public functions that document what they raise, and whose first parameter may be somebody else's."""
    return [
        f"{file.relative_to(HERE)}:{function.name}"
        for file in sorted(folder.rglob("*.py"))
        for function in ast.parse(file.read_text(encoding="utf-8")).body
        if isinstance(function, ast.FunctionDef)
        and not function.name.startswith("_")
        and function.args.args
        and "Raises" in (ast.get_docstring(function) or "")
        and _outside(function.args.args[0].annotation)
    ]


def _outside(annotation: ast.expr | None) -> bool:
    said = ast.unparse(annotation) if annotation is not None else ""
    return said in OUTSIDE or bool({part.strip() for part in said.split("|")} & {"str", "bytes"})


@pytest.mark.parametrize("name", CASES)
def test_it_reads_or_refuses(name: str) -> None:
    case = CASES[name]

    @settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
    @given(case.given)
    def fed(value: Any) -> None:
        try:
            case.call(value)
        except case.refuses:
            return

    fed()
