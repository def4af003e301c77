"""The stream of an account's connection: its address, and how to ask for it and read it. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal, TypeAlias
from urllib.parse import urlencode, urlsplit, urlunsplit

from websockets.typing import Subprotocol

from services.ingest.connectors.bluesky.frames import COLLECTIONS, Frame, from_jetstream, from_jetstream_v2, from_repos

Wire: TypeAlias = Literal["repos", "jetstream", "jetstream_v2"]

REPOS_PATH = "/xrpc/com.atproto.sync.subscribeRepos"
JETSTREAM_PATH = "/subscribe"
JETSTREAM_V2_METHOD = "network.bsky.jetstream.subscribeEvents"
REWIND_US = 5_000_000
REWIND_EVENTS = 1_000
"""How far before its cursor a stream is read again after a break: another instance may answer at the same address, with
a slightly different order. A relay sends some thousand events in two seconds. What comes twice has the same id."""
FARTHEST_BACK = timedelta(hours=24)
"""How far back a stream that keeps the past is read at most. The public ones keep one to three days."""

NOT_SPOKEN = frozenset({400, 404, 405, 501})
"""How a server answers that speaks only the other version of Jetstream."""
KINDS = ("commit", "account", "identity", "sync")
"""The kinds to ask Jetstream version 2 for. Version 1 and relays send news about people unasked."""

_SCHEMES = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}


class UnusableConnectionError(ValueError):
    """A connection that cannot be used. The text says what is missing or wrong."""


@dataclass(frozen=True)
class Source:
    """One stream: its address, without a query and without a login, and its protocol."""

    address: str
    wire: Wire
    either: bool = field(default=False, compare=False)
    """The connection names the server and not its protocol: it may speak version 2 of Jetstream as well. Whoever names
    the same server with its path reads along, because an address has one position."""

    def versions(self) -> "tuple[Source, ...]":
        """What to try, the best first. A server that does not have it answers with one of `NOT_SPOKEN`."""
        if not self.either:
            return (self,)
        parts = urlsplit(self.address)
        newer = urlunsplit((parts.scheme, parts.netloc, f"/xrpc/{JETSTREAM_V2_METHOD}", "", ""))
        return Source(newer, "jetstream_v2"), Source(self.address, self.wire)

    @property
    def name(self) -> str:
        """Its host and port, for people. Several streams may have the same."""
        return urlsplit(self.address).netloc

    @property
    def timed(self) -> bool:
        """Whether positions are times in microseconds, so that reading can begin at a moment in the past."""
        return self.wire != "repos"

    @property
    def subprotocols(self) -> list[Subprotocol] | None:
        """What to offer the server: version 2 of Jetstream wants the encoding of its frames named."""
        return [Subprotocol("xrpc.v1.json")] if self.wire == "jetstream_v2" else None

    def url(self, position: int | None, seq: int | None = None) -> str:
        """The address for reading from a little before `position`, or from now on if it is None.

        `seq` is the number of the last frame that this very server sent. It is then read from exactly there.
        """
        query: list[tuple[str, str]] = []
        if self.wire == "jetstream":
            query += [("wantedCollections", name) for name in COLLECTIONS]
        elif self.wire == "jetstream_v2":
            query += [("collections", name) for name in COLLECTIONS]
            query += [("kinds", kind) for kind in KINDS]
        if seq is not None and self.wire == "jetstream_v2":
            query.append(("cursor", str(seq)))
        elif position is not None:
            query.append(("cursor", str(max(0, position - (REWIND_US if self.timed else REWIND_EVENTS)))))
        return f"{self.address}?{urlencode(query)}" if query else self.address

    def read(self, raw: str | bytes) -> Frame:
        """One frame. Raises FrameError and StreamError."""
        if self.wire == "repos":
            return from_repos(raw if isinstance(raw, bytes) else raw.encode())
        reader: Callable[[str | bytes], Frame] = from_jetstream if self.wire == "jetstream" else from_jetstream_v2
        return reader(raw)


def source_of(connection: Mapping[str, str]) -> Source | None:
    """The stream of a connection: `service` (a relay or PDS) or `jetstream`. None without either.

    Raises UnusableConnectionError for an address that is not valid or has a login in it, and if `did` is missing.
    """
    given = connection.get("service"), connection.get("jetstream")
    if given == (None, None):
        return None
    if all(given):
        raise UnusableConnectionError("connection has both service and jetstream; the same events would come twice")
    if not connection.get("did", "").startswith("did:"):
        raise UnusableConnectionError("connection.did is missing: the DID of the account, such as did:plc:…")
    if given[0]:
        return Source(_address(given[0], "connection.service", REPOS_PATH), "repos")
    address = _address(given[1] or "", "connection.jetstream", JETSTREAM_PATH)
    if address.endswith(JETSTREAM_V2_METHOD):
        return Source(address, "jetstream_v2")
    return Source(address, "jetstream", either=not urlsplit(given[1] or "").path.rstrip("/"))


def _address(given: str, where: str, path: str) -> str:
    try:
        parts = urlsplit(given)
    except ValueError:
        parts = urlsplit("")
    if "@" in parts.netloc:
        raise UnusableConnectionError(
            f"{where} has a login before the @, which would be kept and logged for all to read; take it out"
        )
    if parts.scheme not in _SCHEMES or not parts.netloc:
        shown = given.rpartition("@")[2]
        raise UnusableConnectionError(f"{where} is {shown!r}; it has to be an address such as wss://host")
    own = parts.path.rstrip("/")
    return urlunsplit((_SCHEMES[parts.scheme], parts.netloc, own or path, "", ""))


def start_of(position: int | None, connected_at: datetime, now: datetime) -> int:
    """Where to begin reading a timed stream for a new account: at its position, but no later than `connected_at` (at
    most a day before `now`), because the account needs what was written from then on.
    """
    wanted = max(connected_at.astimezone(UTC), now - FARTHEST_BACK)
    at = int(min(wanted, now).timestamp() * 1_000_000)
    return at if position is None else min(position, at)
