"""What a platform's connector is, and what it gets to work with.

A platform is one package beside this module:

- `connector.py` has a class that is a `Connector`;
- `normalise.py` turns what the platform sends into interactions. It is pure, and its tests feed it recorded deliveries;
- `settings.py` has what the connector is configured with, if there is anything.

`platforms.py` names it. A platform that is asked account by account is a `Polled` (`services/ingest/polling`) with a
`Reader` of its own: leases, positions, limits and states are the same for all. `Intake` puts interactions into the log.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol, TypeAlias

from rapport.contracts.events import Account
from rapport.kit.http.outgoing import Guard, GuardedHttp
from services.ingest.broker import Broker

Accounts: TypeAlias = Mapping[str, tuple[str, Account]]
"""Brand and account by the account's id."""


class Connector(Protocol):
    """Reads one platform for the accounts that are connected to it. For one event loop."""

    def follow(self, accounts: Accounts) -> None:
        """Reads from now on for exactly these accounts, all of them on this platform. Returns at once."""

    def behind(self) -> set[str]:
        """The ids of accounts whose interactions may not all be in the log."""

    def disconnected(self) -> set[str]:
        """Of these, the accounts for which nothing is being read."""

    async def close(self) -> None:
        """Ends all reading. What the broker has not confirmed is read again at the next start."""


@dataclass(frozen=True)
class Shared:
    """What every connector gets from the service."""

    folder: Path
    """Where a connector keeps its files; their names begin with the platform's."""
    broker: Broker
    now: Callable[[], datetime]
    """The time in UTC."""
    log: logging.Logger
    guard: Guard
    """Decides which addresses of connections may be called."""
    calling: list[GuardedHttp] = field(default_factory=list)
    """What `http` made."""

    def http(self, timeout: float) -> GuardedHttp:
        """HTTP for a connector, until `close`. `timeout` is in seconds."""
        self.calling.append(GuardedHttp(self.guard, timeout=timeout))
        return self.calling[-1]

    async def close(self) -> None:
        """Ends all connections, once nobody reads or speaks any more."""
        await asyncio.gather(*(each.close() for each in self.calling))
