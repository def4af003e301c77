"""What is fuzzed: everything that reads what platforms send, or files of strangers.

A target takes any bytes. Twice over, where it reads many things at once: as the whole, and as one of them between two
good ones, which both have to come out. What holds for all of them is in `properties.py`.
"""

import io
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from services.imports import bluesky, lines, mastodon, table
from services.imports.checking import Checked, Checker
from services.imports.entries import Source, UnreadableFileError
from services.ingest import submission
from services.ingest.connectors.bluesky.facts import Facts
from services.ingest.connectors.bluesky.frames import (
    FrameError,
    StreamError,
    from_jetstream,
    from_jetstream_v2,
    from_repos,
)
from services.ingest.connectors.bluesky.normalise import Watched as WatchedOnBluesky
from services.ingest.connectors.mastodon.normalise import Noted
from services.ingest.connectors.seen import UnsavedLedger
from services.ingest.connectors.youtube.normalise import threads, uploads
from services.ingest.hooks.delivery import Delivery, UnreadableError, Watched
from tests.deliveries import ASKED, FOLDER, HOOKS, HOST, OBSERVED_AT, EmptyLedger, lookup
from tests.fuzz import verifiers
from tests.fuzz.properties import counted, scalars, sound, true
from tests.services.imports.files import ACCOUNT as IMPORTED
from tests.services.imports.files import (
    BLUESKY,
    NOW,
    OWNER,
    bluesky_post,
    note,
    outbox,
    repository,
    tar,
    tarred,
    zipped,
)
from tests.services.ingest.connectors.youtube.test_normalise import PAGES, THREAD, below
from tests.services.ingest.connectors.youtube.test_normalise import watched as channel

Read = Callable[[bytes], Delivery]


@dataclass(frozen=True)
class Target:
    """`check` fails where something does not hold of what it is given. `seeds` are good and damaged examples."""

    check: Callable[[bytes], None]
    seeds: Sequence[bytes]
    is_json: bool = True
    longest: int = 16_384
    """Bytes of what it is given."""


@dataclass(frozen=True)
class Between:
    """A place for one more of what is read many at a time: between two that are good."""

    before: bytes
    after: bytes
    wrap: Callable[[bytes], bytes] = bytes
    """Makes a whole of the items of a list."""

    def around(self, item: bytes) -> bytes:
        """The whole."""
        return self.wrap(b"[" + b",".join((self.before, item, self.after)) + b"]")

    def alone(self) -> bytes:
        """The whole without it."""
        return self.wrap(b"[" + b",".join((self.before, self.after)) + b"]")


@dataclass(frozen=True)
class Many:
    """Reads deliveries. `known` is what was known before: the ids of so many accounts, and of people and things."""

    read: Read
    known: Collection[str]
    accounts: int
    betweens: Sequence[Between] = ()

    def check(self, data: bytes) -> None:
        """See Target."""
        self._whole(data)
        if not _is_one(data):
            return
        for between in self.betweens:
            self._between(data, between)

    def _whole(self, data: bytes) -> None:
        try:
            found = counted(partial(self.read, data), len(data))
        except UnreadableError:
            return
        sound(found, {*scalars(data), *self.known}, len(data), self.accounts)

    def _between(self, data: bytes, between: Between) -> None:
        whole = between.around(data)
        found = counted(partial(self.read, whole), len(whole))
        sound(found, {*scalars(whole), *self.known}, len(whole), self.accounts)
        good = [one.id for one in self.read(between.alone()).interactions]
        assert len(good) >= 2, "the two beside it are no good"
        missing = set(good) - {one.id for one in found.interactions}
        assert not missing, f"not taken because of what stands beside it: {missing}"


_DEEPER = 20
"""So many levels a whole has around one of its items. What nests too deeply for JSON is no JSON."""


def _is_one(data: bytes) -> bool:
    """Whether it is one JSON value, also within others."""
    try:
        msgspec.json.decode(data, type=msgspec.Raw)
        msgspec.json.decode(b"[" * _DEEPER + data + b"]" * _DEEPER, type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def _files(platform: str) -> Iterator[dict[str, Any]]:
    for file in sorted((FOLDER / platform).glob("*.json")):
        if not file.name.endswith(".expected.json"):
            yield json.loads(file.read_text())


def _body(file: Mapping[str, Any]) -> bytes:
    return file["text"].encode() if "text" in file else json.dumps(file["body"]).encode()


def _named(platform: str, name: str) -> Any:
    return json.loads((FOLDER / platform / f"{name}.json").read_text())["body"]


def _raw(value: Any) -> bytes:
    return json.dumps(value).encode()


def _in(whole: Any, *steps: Any) -> Callable[[bytes], bytes]:
    """Puts a list into a place of a whole."""
    mark = "put here"

    def marked(value: Any, left: tuple[Any, ...]) -> Any:
        if not left:
            return mark
        copy = dict(value) if isinstance(value, dict) else list(value)
        copy[left[0]] = marked(value[left[0]], left[1:])
        return copy

    before, after = _raw(marked(whole, steps)).split(_raw(mark))
    return lambda items: before + items + after


# Platforms that push.


def _entry(platform: str, kind: str, first: str, second: str) -> Between:
    """Between two changes of Meta's."""
    one, other = _named(platform, first)["entry"][0], _named(platform, second)["entry"][0]
    assert one["id"] == other["id"]
    whole = {"object": _named(platform, first)["object"], "entry": [{"id": one["id"], "time": one["time"], kind: []}]}
    return Between(_raw(one[kind][0]), _raw(other[kind][0]), _in(whole, "entry", 0, kind))


def _tiktok_reactions() -> Between:
    """Between two reactions, in the JSON in a text."""
    whole = _named("tiktok", "reactions-at-once")
    content = json.loads(whole["content"])
    good = [each for each in content["reaction"] if isinstance(each, dict) and each["original_msg_id"]]
    place = _in(content, "reaction")

    def wrap(items: bytes) -> bytes:
        return _raw({**whole, "content": place(items).decode("utf-8", "replace")})

    return Between(_raw(good[0]), _raw({**good[0], "unique_identifier": "another-person"}), wrap)


def _x_messages() -> Between:
    whole = _named("x", "message")
    messages = whole["data"]["payload"]["direct_message_events"]
    wrap = _in(whole, "data", "payload", "direct_message_events")
    return Between(_raw(messages[0]), _raw({**messages[0], "id": "2080765901528535999"}), wrap)


def _betweens(platform: str) -> list[Between]:
    match platform:
        case "facebook":
            return [
                _entry(platform, "changes", "comment", "share"),
                _entry(platform, "messaging", "message", "message-with-a-picture"),
                Between(
                    _raw(_named(platform, "comment")["entry"][0]), _raw(_named(platform, "message")["entry"][0]),
                    _in(_named(platform, "comment"), "entry"),
                ),
            ]  # fmt: skip
        case "instagram":
            return [
                _entry(platform, "changes", "comment", "comment-on-an-ad"),
                _entry(platform, "messaging", "message", "message-with-a-picture"),
            ]
        case "threads":
            one, other = _named(platform, "reply"), _named(platform, "mention")
            other["values"]["value"]["id"] = "17800000000000003"
            return [Between(_raw(one["values"]), _raw(other["values"]), _in(other, "values"))]
        case "linkedin":
            whole = _named(platform, "comment")
            one, other = (_named(platform, name)["notifications"][0] for name in ("comment", "mention"))
            return [Between(_raw(one), _raw(other), _in(whole, "notifications"))]
        case "tiktok":
            return [_tiktok_reactions()]
        case "x":
            return [_x_messages()]
    raise AssertionError(f"nothing is read many at a time of {platform}: is that so?")


def _pushed(platform: str) -> Target:
    files = list(_files(platform))
    accounts = {(one["id"], one.get("brand")): one for file in files for one in file["accounts"]}
    its = lookup(platform, list(accounts.values()))
    said = {each for one in accounts.values() for each in (one["id"], *one.get("staff", ()), *one.get("own", ()))}
    said |= {one.account.handle for name in {each["id"] for each in accounts.values()} for one in its(name)}
    said |= {one["connection"]["identifier"] for one in accounts.values() if "identifier" in one.get("connection", {})}
    said |= {f"urn:li:organization:{each}" for each in said}

    def read(body: bytes) -> Delivery:
        return HOOKS[platform].read(body, its, OBSERVED_AT)

    betweens = _betweens(platform)
    seeds = [*map(_body, files), *(each for one in betweens for each in (one.before, one.after))]
    return Target(Many(read, said, len(accounts), betweens).check, seeds)


# Platforms that are asked, and streams.


def _mastodon(kind: str) -> Target:
    files = [each for each in _files("mastodon") if each["as"] == kind and each.get("host", HOST) == HOST]
    files = [each for each in files if each["accounts"] == files[0]["accounts"]]
    account = files[0]["accounts"][0]
    (watched,) = lookup("mastodon", [account])(account["id"])
    known = {each["status"]: Noted(**each) for file in files for each in file.get("known", ())}
    said = {watched.id, *watched.own, *account.get("staff", ()), watched.account.handle}
    said |= {each for one in known.values() for each in one if each}

    def read(body: bytes) -> Delivery:
        return ASKED[kind](body, HOST, watched, known.get, OBSERVED_AT)

    good = [item for name in ("comment", "mention") for item in _named("mastodon", name)]
    if kind == "statuses":
        good = [each for each in _named("mastodon", "own-statuses") if isinstance(each, dict)]
        good = [each for each in good if read(_raw([each])).interactions]
    betweens = [] if kind == "event" else [Between(_raw(good[0]), _raw(good[1]))]
    if kind == "event":
        for file in files:
            if not isinstance(file["body"].get("payload", ""), str):
                file["body"]["payload"] = json.dumps(file["body"]["payload"])
    items = [_raw(item) for file in files if isinstance(file["body"], list) for item in file["body"]]
    return Target(Many(read, said, 1, betweens).check, [*map(_body, files), *items])


def _youtube(kind: str) -> Target:
    watched = channel()
    said = {watched.id, THREAD.id, str(THREAD.video)}

    def read(body: bytes) -> Delivery:
        if kind == "threads":
            return threads(body, watched, lambda _: None, OBSERVED_AT)
        if kind == "uploads":
            return uploads(body, watched, None, OBSERVED_AT)
        return below(THREAD, watched, lambda _: None, body)

    pages = [page["page"] for page in PAGES.values()]
    page = PAGES[kind]["page"]
    good = [each for each in page["items"] if read(_raw({"items": [each]})).interactions]
    betweens = [Between(_raw(good[0]), _raw(good[1]), _in({"items": []}, "items"))]
    if kind == "threads":
        inner = good[0]["replies"]["comments"]
        betweens.append(
            Between(_raw(inner[0]), _raw(inner[1]), _in({"items": [good[0]]}, "items", 0, "replies", "comments"))
        )
    return Target(Many(read, said, 1, betweens).check, [*map(_raw, pages), *(_raw(each) for each in good)])


def _bluesky(read_frame: Callable[[bytes], Any], stream: str) -> Target:
    files = [each for each in _files("bluesky") if each["as"] == stream]
    accounts = {one["id"]: one for file in files for one in file["accounts"]}
    its = lookup("bluesky", list(accounts.values()))
    watched: list[Watched] = [one for name in accounts for one in its(name)]
    facts = [WatchedOnBluesky(each.brand, each.account, each.id, each.own) for each in watched]
    said = {each for one in accounts.values() for each in (one["id"], *one.get("staff", ()), *one.get("own", ()))}

    def read(body: bytes) -> Delivery:
        """Frames, one after the other, as the stream takes them."""
        unsaved, delivery = UnsavedLedger(EmptyLedger()), Delivery()
        its_facts = Facts(facts)
        for number, raw in enumerate(_frames(body)):
            try:
                frame = read_frame(raw)
            except (FrameError, StreamError) as error:
                delivery.failed(f"frame {number}", error)
                continue
            for change in frame.changes:
                delivery.interactions += its_facts.of(change, unsaved, OBSERVED_AT)
            if frame.fate is not None:
                delivery.away += its_facts.told(frame.fate, unsaved)
        return delivery

    def _frames(body: bytes) -> list[bytes]:
        if not body.lstrip().startswith(b"["):
            return [body]
        try:
            return [bytes(each) for each in msgspec.json.decode(body, type=list[msgspec.Raw])]
        except (msgspec.DecodeError, RecursionError):
            return [body]

    story = [each for file in files for each in file["body"] if isinstance(each, dict)]
    good = [each for each in story if len(read(_raw(each)).interactions) == 1]
    betweens = [Between(_raw(good[0]), _raw(good[-1]))]
    seeds = [*map(_body, files), *(_raw(each) for each in story)]
    return Target(Many(read, said, len(facts), betweens).check, seeds)


def _repos() -> Target:
    def check(data: bytes) -> None:
        try:
            frame = counted(partial(from_repos, data), len(data))
        except (FrameError, StreamError):
            return
        for change in frame.changes:
            counted(partial(Facts([]).of, change, UnsavedLedger(EmptyLedger()), OBSERVED_AT), len(data))

    return Target(check, _repo_frames(), is_json=False)


def _repo_frames() -> list[bytes]:
    import libipld

    def frame(kind: str, **body: Any) -> bytes:
        whole = {"seq": 7, "time": "2026-11-29T11:59:00.000Z", **body}
        return bytes(libipld.encode_dag_cbor({"op": 1, "t": kind}) + libipld.encode_dag_cbor(whole))

    posts = {f"app.bsky.feed.post/3k{number}": bluesky_post(f"{number}") for number in range(2)}
    ops = [{"action": "delete", "path": path, "cid": None} for path in posts]
    return [
        frame("#commit", repo="did:plc:ada", rev="3k", ops=ops, blocks=repository(posts), tooBig=False),
        frame("#account", did="did:plc:ada", active=False, status="deleted"),
        frame("#identity", did="did:plc:ada"),
        frame("#info", name="OutdatedCursor", message="older"),
        bytes(libipld.encode_dag_cbor({"op": -1}) + libipld.encode_dag_cbor({"error": "FutureCursor"})),
    ]


# The generic door and imports.

_ONE = (
    b'{"id": "good-1", "kind": "comment", "actor": {"id": "ada"}, "occurred_at": "2026-11-01T10:00:00Z", "post": "p"}'
)
_OTHER = _ONE.replace(b"good-1", b"good-2").replace(b"comment", b"mention")
_DOOR = [
    _ONE,
    b"[" + _ONE + b"," + _OTHER + b"]",
    _ONE + b"\n" + _OTHER + b"\n",
    b'{"id": "r", "kind": "reply", "actor": {"id": "team"}, "parent": {"id": "c", "actor": "ada"}, "thread": "p"}',
    b'{"id": "o", "kind": "purchase", "actor": {"id": "ada"}, "amount": "12.50", "currency": "EUR"}',
    b'{"id": "l", "kind": "reaction", "actor": {"id": "ada"}, "object": {"id": "x"}, "undo": true, "reaction": "like"}',
]


def _door(data: bytes) -> None:
    said = {*scalars(data), IMPORTED.id}
    for as_lines in (False, True):
        read = partial(submission.read, data, lines=as_lines, brand="b", account=IMPORTED, observed_at=OBSERVED_AT)
        try:
            found = counted(read, len(data))
        except (submission.NotJsonError, submission.RejectedError, submission.TooManyError):
            continue
        assert all(one.brand == "b" and one.account == IMPORTED.id for one, _ in found)
        true([one for one, _ in found], said, len(data))


def _taken(source: Source) -> list[Checked]:
    """What is sent of a file; what is left out says why."""
    checker = Checker(source, "b", IMPORTED, NOW, NOW)
    found = [checker.check(entry) for entry in source.entries()]
    return [each for each in found if isinstance(each, Checked)]


def _opened(opened: Callable[[io.BytesIO, int], Source], data: bytes) -> list[Checked]:
    def read() -> list[Checked]:
        try:
            return _taken(opened(io.BytesIO(data), len(data)))
        except UnreadableFileError:
            return []

    return counted(read, len(data))


def _lines(data: bytes) -> None:
    _opened(lines.open_lines, data)
    whole = b"\n".join((_ONE, data, _OTHER))
    found = [each.interaction for each in _opened(lines.open_lines, whole)]
    assert {"good-1", "good-2"} <= {one.id for one in found}, "not taken because of the lines beside it"
    true([one for one in found if not one.id.startswith("import:")], scalars(whole), len(whole))


def _outbox(data: bytes) -> None:
    _opened(mastodon.open_archive, data)
    if not _is_one(data):
        return
    between = Between(_raw(note(1, "one")), _raw(note(2, "two")), _in({"orderedItems": []}, "orderedItems"))
    found = [each.interaction for each in _opened(mastodon.open_archive, between.around(data))]
    assert {"1@social.example", "2@social.example"} <= {one.id for one in found}, "not taken because of one beside it"


def _archive(data: bytes) -> None:
    _opened(mastodon.open_archive, data)


def _table(data: bytes) -> None:
    opened = partial(table.open_table, zone=ZoneInfo("Europe/Berlin"), order=None)
    _opened(opened, data)
    whole = b"id,kind,actor_id,post,occurred_at\ngood-1,comment,ada,p,2026-11-01T10:00:00Z\n" + data
    found = _opened(opened, whole)  # a quotation mark may swallow what comes behind it, but not what came before
    assert not found or found[0].interaction.id == "good-1", "not taken because of the rows behind it"


def _repository(data: bytes) -> None:
    _opened(lambda file, size: bluesky.open_repository(file, size, "b", BLUESKY, NOW), data)


_TABLES = [
    b"id,kind,actor_id,occurred_at,post,text\n1,comment,ada,2026-11-01T10:00:00Z,p,hello\n",
    b'kind;actor_id;occurred_at;text\ncomment;ada;1/11/2026 10:00;"hello; ""you"""\n',
    "kind\tactor_id\toccurred_at\ncomment\tada\t2026-11-01\n".encode("utf-16"),
    b"2,comment,ada,p,2026-11-01T10:00:00Z\n",
    b'"3,comment,ada,p,2026-11-01T10:00:00Z\n',
]
_NOTES = [note(1, "New beans"), note(2, "We do!", f"{OWNER}/statuses/9", ("https://other.example/users/ada",))]
_ARCHIVES = [made(outbox_json=outbox(*_NOTES)) for made in (zipped, tarred, tar)]

TARGETS: Mapping[str, Callable[[], Target]] = {
    **{platform: partial(_pushed, platform) for platform in sorted(HOOKS)},
    **{f"mastodon-{kind}": partial(_mastodon, kind) for kind in ASKED},
    "youtube-threads": partial(_youtube, "threads"),
    "youtube-replies": partial(_youtube, "replies"),
    "youtube-uploads": partial(_youtube, "uploads"),
    "bluesky-jetstream": partial(_bluesky, from_jetstream, "jetstream"),
    "bluesky-jetstream-2": partial(_bluesky, from_jetstream_v2, "jetstream_v2"),
    "bluesky-repos": _repos,
    **{
        name: partial(lambda check: Target(check, verifiers.seeds(), is_json=False), check)
        for name, check in (
            ("signature", verifiers.signature),
            ("challenge", verifiers.challenge),
            ("endpoint", verifiers.endpoint),
        )
    },
    "door": lambda: Target(_door, _DOOR),
    "import-lines": lambda: Target(_lines, _DOOR),
    "import-table": lambda: Target(_table, _TABLES, is_json=False),
    "import-outbox": lambda: Target(_outbox, [outbox(*_NOTES), *map(_raw, _NOTES)]),
    "import-archive": lambda: Target(_archive, _ARCHIVES, is_json=False),
    "import-repository": lambda: Target(
        _repository, [repository({"app.bsky.feed.post/3k1": bluesky_post("New beans")})], is_json=False
    ),
}
"""By name. They are made when they are used: each takes a moment."""
