"""A Connector for a platform that is asked account by account, the same for all of them."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from rapport.contracts.events import Account
from services.ingest import metrics
from services.ingest.connectors.connector import Accounts, Shared
from services.ingest.connectors.intake import Intake
from services.ingest.hooks.delivery import Watched, bare_handle
from services.ingest.leases.leases import Lease, Leases
from services.ingest.polling.api import OUTCOMES
from services.ingest.polling.follower import Follower, Reader
from services.ingest.polling.reading import Reading

OTHERS_SECONDS = 10.0
"""How long an account waits for the ids of the brand's others. One that does not answer must not hold it up."""


@dataclass
class Siblings:
    """The accounts of a brand on the platform, by our id: each has to know the others' ids there."""

    ids: dict[str, str] = field(default_factory=dict)
    wanted: set[str] = field(default_factory=set)
    told: asyncio.Event = field(default_factory=asyncio.Event)

    async def ready(self, account: str, its_id: str) -> None:
        """Notes an id; returns once all are known, or after a while."""
        self.ids[account] = its_id
        if self.wanted <= self.ids.keys():
            self.told.set()
        try:
            async with asyncio.timeout(OTHERS_SECONDS):
                await self.told.wait()
        except TimeoutError:
            self.told.set()

    def watched(self, brand: str, account: Account, named: Iterable[str], handles: Iterable[str]) -> Watched:
        """The account with what is known of the others now; `named` are ids that their connections say."""
        own = frozenset([*self.ids.values(), *named])
        return Watched(brand, account, self.ids[account.id], own, frozenset(handles))


MakeReader = Callable[[Account, Reading, Callable[[], Watched]], Reader]


class Polled:
    """A Connector. Reads the accounts that can be asked and that this process has the lease of."""

    def __init__(
        self,
        platform: str,
        usable: Callable[[Account], bool],
        make: MakeReader,
        leases: Leases,
        shared: Shared,
        *,
        pushes: bool = False,
        itself: Callable[[Account], str] = lambda _: "",
        also_named: Sequence[str] = (),
    ) -> None:
        """`usable` says whether an account's connection has what is needed to ask; `make` gives what reads it.

        `pushes`: the platform pushes as well, so that asking only finds what that left out. `itself` gives the
        platform's id of an account if its connection has that, also of one that cannot be asked; `also_named` is as in
        Hook.
        """
        self._platform = platform
        self._usable = usable
        self._make = make
        self._itself = itself
        self._also_named = also_named
        self._leases = leases
        self._shared = shared
        self._intake = Intake(platform, "asking", shared.broker, shared.log, repairs=pushes)
        self._closed = False
        self._accounts: Accounts = {}
        self._followers: dict[str, tuple[Account, Lease, Follower]] = {}
        self._siblings: dict[str, Siblings] = {}
        self._named: dict[str, set[str]] = {}
        """By brand: the ids of its accounts as their connections say them."""
        self._handles: dict[str, set[str]] = {}
        """By brand: the handles of its accounts."""
        self._ending: set[asyncio.Task[None]] = set()
        # A series that begins with its first failure cannot show that one: it has to be there before, as zero.
        metrics.REPAIRED.labels(platform)
        for outcome in OUTCOMES:
            metrics.ASKED.labels(platform, outcome)
        self._count()

    def follow(self, accounts: Accounts) -> None:
        """See Connector. Also called when leases came or went."""
        if self._closed:
            return
        self._accounts = {name: found for name, found in accounts.items() if self._usable(found[1])}
        self._named, self._handles = {}, {}
        for brand, account in accounts.values():
            names = [self._itself(account), *(account.connection.get(each, "").strip() for each in self._also_named)]
            self._named.setdefault(brand, set()).update(filter(None, names))
            self._handles.setdefault(brand, set()).add(bare_handle(account.handle))
        wanted: dict[str, tuple[str, Account, Lease]] = {}
        for name, (brand, account) in self._accounts.items():
            lease = self._leases.of(brand)
            if lease is not None:
                wanted[name] = (brand, account, lease)
        for name, (account, lease, _) in list(self._followers.items()):
            if name not in wanted or wanted[name][1:] != (account, lease):
                self._end(name)
        for name, (brand, account, lease) in wanted.items():
            if name not in self._followers:
                self._begin(name, brand, account, lease)
        metrics.FOLLOWED.labels(self._platform, "asking").set(len(self._followers))

    def behind(self) -> set[str]:
        """See Connector."""
        self._count()
        found = {name for name, (_, _, follower) in self._followers.items() if follower.behind()}
        return found | {name for name, (brand, _) in self._accounts.items() if not self._leases.knows(brand)}

    def disconnected(self) -> set[str]:
        """See Connector."""
        return {name for name, (_, _, follower) in self._followers.items() if follower.disconnected()}

    async def close(self) -> None:
        """See Connector."""
        self._closed = True
        for name in list(self._followers):
            self._end(name)
        await asyncio.gather(*self._ending, return_exceptions=True)

    def _begin(self, name: str, brand: str, account: Account, lease: Lease) -> None:
        siblings = self._siblings.setdefault(brand, Siblings())
        siblings.wanted = {each for each, (its_brand, _) in self._accounts.items() if its_brand == brand}
        reading = Reading(account, lease, self._leases, self._intake, self._shared.now)

        if (known := reading.itself()) is not None:
            siblings.ids.setdefault(name, known)

        async def ready(its_id: str) -> None:
            await reading.known_as(its_id)
            await siblings.ready(name, its_id)

        def watched() -> Watched:
            return siblings.watched(brand, account, self._named.get(brand, ()), self._handles.get(brand, ()))

        reader = self._make(account, reading, watched)
        self._followers[name] = (account, lease, Follower(brand, reading, reader, ready, self._shared.log))

    def _end(self, name: str) -> None:
        _, _, follower = self._followers.pop(name)
        follower.stop()
        task = asyncio.get_running_loop().create_task(follower.ended())
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    def _count(self) -> None:
        for state in ("live", "behind", "incident", "attention"):
            found = sum(follower.state == state for _, _, follower in self._followers.values())
            metrics.STATES.labels(self._platform, state).set(found)
