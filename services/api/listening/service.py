"""Whether interactions on a brand's accounts arrive here. A page asks before it calls itself live."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Literal, NamedTuple, TypeAlias

from rapport.domain.arrivals.lateness import quantile
from rapport.domain.platforms import NAMES
from services.api.accounts.documents import AccountDocument
from services.api.accounts.repository import Accounts
from services.api.accounts.service import is_asked
from services.api.connecting.documents import AccountTokenDocument
from services.api.connecting.repository import Tokens
from services.api.listening.documents import (
    HEARD_WITHIN,
    AccountStateDocument,
    ArrivedDocument,
    HeartbeatDocument,
    steps_between,
)
from services.api.listening.pace import Pace, paces_of, quiet_since, usually
from services.api.listening.repository import Listening
from services.api.storage.tenants import Database, Tenants

Hearing: TypeAlias = Literal["live", "silent", "attention", "incident", "disconnected", "behind", "quiet"]
"""`silent`: no ingest process runs. `attention`: somebody has to do something about an account. `incident`: a platform
fails. `disconnected`: the streams of some accounts are closed. `behind`: ingest is still catching up with some.
`quiet`: nothing is known to be wrong, but something would usually have come long ago."""
_WORST_FIRST: tuple[Hearing, ...] = ("silent", "attention", "incident", "disconnected", "behind", "quiet")
STATES: tuple[Hearing, ...] = ("live", *_WORST_FIRST)
"""What an account can be."""
ELSEWHERE = "other"
"""In metrics, platforms that have no connector: any name can come in through the generic door."""


class Lag(NamedTuple):
    """How long a platform took to tell, in seconds: at most so long in half, and in 95 %, of the minutes."""

    platform: str
    account: str | None
    """None: all accounts of the platform."""
    median: float | None
    p95: float | None
    minutes: int
    """In so many something came that says when it occurred."""


class Stands(NamedTuple):
    """How one account is read."""

    hearing: Hearing
    since: datetime | None = None
    """Since when, where that is known."""
    why: str | None = None
    """In words."""
    checked_at: datetime | None = None
    """When it was last read to its end, for accounts that are asked for news."""
    latest_at: datetime | None = None
    """When the newest interaction that was received occurred."""
    pace: Pace | None = None
    """What comes of it and what usually does; None while nothing ever came."""


class Heard(NamedTuple):
    """How a brand's accounts are heard. `accounts` are those from which interactions may be missing."""

    hearing: Hearing | Literal["no_account", "unscored"]
    """`unscored`: what is received is not worked out, for no scorer has the clocks of some followers."""
    accounts: tuple[AccountDocument, ...] = ()
    since: datetime | None = None
    """If `silent`: when an ingest process was last heard. If `unscored`: up to where everything is worked out."""
    why: str | None = None
    """What the first account's trouble is, if it was said."""


async def standings(
    database: Database, accounts: Iterable[AccountDocument], zone: str, now: datetime
) -> dict[str, Stands]:
    """How connected accounts of a brand are read, by id. `zone` is the brand's."""
    connected = list(accounts)
    if not connected:
        return {}
    return await _all(database, connected, await paces_of(database, connected, zone, now), now)


async def counts(database: Database, accounts: Iterable[AccountDocument], now: datetime) -> "Counts":
    """How many connected accounts there are by platform and state, and how many platforms are late with."""
    connected = list(accounts)
    unusual = await Listening(database).unusual()
    states: Counter[tuple[str, Hearing]] = Counter()
    late: Counter[str] = Counter()
    stands = await _heard_now(database, connected, now) if connected else {}
    for each in connected:
        its, platform = unusual.get(each["_id"]), each["platform"] if each["platform"] in NAMES else ELSEWHERE
        hearing = stands[each["_id"]].hearing
        if hearing == "live" and its is not None and quiet_since(its, each) is not None:
            hearing = "quiet"
        states[platform, hearing] += 1
        late[platform] += bool(its and its.get("late_since"))
    return Counts(states, late)


class Counts(NamedTuple):
    """Accounts of all brands."""

    states: Mapping[tuple[str, Hearing], int]
    """By platform and state."""
    late: Mapping[str, int]
    """By platform: those of which its news come far later than usual."""


async def lags(database: Database, brand: str, first: datetime, last: datetime) -> list[Lag]:
    """How long platforms took to tell of a brand's accounts on some UTC days: by platform, and by account."""
    days: dict[tuple[str, str], list[ArrivedDocument]] = defaultdict(list)
    for each in await Listening(database).arrived_of(brand, first, last):
        days[each["platform"], each["account"]].append(each)
    found = {key: steps_between(days[key]) for key in sorted(days)}
    whole: dict[str, list[list[int]]] = defaultdict(list)
    for (platform, _), steps in found.items():
        whole[platform].append(steps)
    return [
        *(
            _lag(platform, None, [sum(each) for each in zip(*several, strict=True)])
            for platform, several in whole.items()
        ),
        *(_lag(platform, account, steps) for (platform, account), steps in found.items()),
    ]


def _lag(platform: str, account: str | None, steps: list[int]) -> Lag:
    return Lag(platform, account, quantile(steps, 0.5), quantile(steps, 0.95), sum(steps))


async def _all(
    database: Database, connected: list[AccountDocument], paces: Mapping[str, Pace], now: datetime
) -> dict[str, Stands]:
    known = await _heard_now(database, connected, now)
    return {name: _with_pace(stands, paces.get(name)) for name, stands in known.items()}


async def _heard_now(database: Database, connected: list[AccountDocument], now: datetime) -> dict[str, Stands]:
    """How accounts are read, apart from what comes of them."""
    listening = Listening(database)
    there = await listening.there(now)
    last = None if there else await listening.last()
    states = await listening.states(each["_id"] for each in connected)
    tokens = await Tokens(database).of([each["_id"] for each in connected])
    return {
        each["_id"]: _with_token(_stands(each, states.get(each["_id"]), there, last), tokens.get(each["_id"]))
        for each in connected
    }


def _with_pace(stands: Stands, pace: Pace | None) -> Stands:
    if pace is None:
        return stands
    latest = max(filter(None, (stands.latest_at, pace.latest_at)))
    known = stands._replace(pace=pace, latest_at=latest)
    if stands.hearing != "live" or pace.quiet_since is None:
        return known
    return known._replace(hearing="quiet", since=pace.quiet_since, why=usually(pace))


async def heard(database: Database, brand: str, zone: str, now: datetime) -> Heard:
    """How the connected accounts of a brand are heard: as the worst of them. `zone` is the brand's."""
    connected = await Accounts(database, Tenants.one(brand)).connected(brand)
    if not connected:
        return Heard("no_account")
    found = await _all(database, connected, await paces_of(database, connected, zone, now, last_day=False), now)
    scored = await Listening(database).scored()
    if (scored is None or scored <= now - HEARD_WITHIN) and all(each.hearing != "silent" for each in found.values()):
        return Heard("unscored", tuple(connected), scored)
    for hearing in _WORST_FIRST:
        concerned = tuple(each for each in connected if found[each["_id"]].hearing == hearing)
        if concerned:
            first = found[concerned[0]["_id"]]
            return Heard(hearing, concerned, first.since, first.why)
    return Heard("live")


def _with_token(stands: Stands, token: AccountTokenDocument | None) -> Stands:
    """The same, where its token cannot be renewed and nothing worse is known."""
    if token is None or not token["attention"] or stands.hearing in ("silent", "attention"):
        return stands
    return stands._replace(hearing="attention", since=token["obtained_at"], why=token["why"])


def _stands(
    account: AccountDocument, state: AccountStateDocument | None, there: list[HeartbeatDocument], last: datetime | None
) -> Stands:
    # The state is from when it was last asked, and it may not be asked any more.
    asked = state if is_asked(account) else None
    checked_at, latest_at = (asked["checked_at"], asked["latest_at"]) if asked else (None, None)
    if not there:
        return Stands("silent", last, "nothing is read at the moment", checked_at, latest_at)
    if asked and asked["state"] != "live":
        # A later version may know more states; none of them is that all is well.
        hearing: Hearing = asked["state"] if asked["state"] in STATES else "attention"
        return Stands(hearing, asked["since"], asked["why"], checked_at, latest_at)
    # One process that misses something is enough, as it is for the scorer.
    if any(account["_id"] in process["disconnected"] for process in there):
        return Stands("disconnected", None, "its stream is not connected", checked_at, latest_at)
    if any(account["_id"] in process["behind"] for process in there):
        return Stands("behind", None, "it is being caught up with", checked_at, latest_at)
    return Stands("live", asked["since"] if asked else None, None, checked_at, latest_at)
