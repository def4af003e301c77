"""What a stream says of the accounts it is read for: the interactions of each change, with what is known so far."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

from rapport.contracts.controls import FollowerAway
from rapport.contracts.events import Interaction
from services.ingest.connectors.bluesky.frames import THREADGATE, Change, Fate
from services.ingest.connectors.bluesky.gates import gated
from services.ingest.connectors.bluesky.normalise import Watched, away, deleted, written
from services.ingest.connectors.bluesky.records import Reference, read
from services.ingest.connectors.seen import UnsavedLedger

MOST_SYNCED = 10_000
"""People whose records are all sent again; there are some thousands a day in the whole network."""
SYNCED_WITHIN = timedelta(hours=1)
"""A server tells all of a repository at once. What comes later is new, whoever filtered out what was told."""


class Synced:
    """The people whose records a stream sends again. What it sends of them then did not happen now."""

    def __init__(self) -> None:
        self._since: dict[str, tuple[datetime, str | None]] = {}
        """Since when, by person; and under which version, once something was told."""

    def note(self, did: str, at: datetime) -> None:
        """What is told of a person's repository next is all of it, under one version."""
        self._since.pop(did, None)
        self._since[did] = at, None
        while len(self._since) > MOST_SYNCED:
            del self._since[next(iter(self._since))]

    def marked(self, change: Change) -> Change:
        """A change as it is: one that only tells again what stands in a repository says so."""
        if change.did not in self._since:
            return change
        since, rev = self._since[change.did]
        if change.operation != "create" or change.rev != (rev or change.rev) or change.at - since > SYNCED_WITHIN:
            del self._since[change.did]
            return change
        self._since[change.did] = since, change.rev
        return replace(change, again=True)


class Facts:
    """For these accounts."""

    def __init__(self, watched: Sequence[Watched], synced: Synced | None = None) -> None:
        """`synced` is what the stream has said so far."""
        self._synced = synced or Synced()
        self._watched = tuple(watched)
        self._by_did: dict[str, tuple[Watched, ...]] = {}
        self._by_staff: dict[str, tuple[Watched, ...]] = {}
        for one in watched:
            self._by_did[one.did] = (*self._by_did.get(one.did, ()), one)
            for did in one.account.staff:
                self._by_staff[did] = (*self._by_staff.get(did, ()), one)

    def of(self, change: Change, unsaved: UnsavedLedger, now: datetime) -> list[Interaction]:
        """The interactions of a change, one with each account that it concerns. Notes what was seen."""
        change = self._synced.marked(change)
        if change.operation == "delete":
            return self._deleted(change, unsaved, now)
        record = read(change)
        if record is None:
            return []
        if record.hidden is not None:
            return self._gated(change, record.hidden, unsaved, now)
        concerned = [one for did in record.concerns for one in self._by_did.get(did, ())]
        # What staff answer names nobody but the follower.
        concerned += [one for one in self._by_staff.get(change.did, ()) if one not in concerned]
        if change.operation == "update":
            # An edit may take the brand's name out of a post that had it.
            before = unsaved.find(change.uri)
            concerned += [one for one in self._watched if one.account.id in before and one not in concerned]
        found: list[Interaction] = []
        for one in concerned:
            fact = written(record, one, partial(unsaved.of, one.account.id), now, unsaved.every)
            if fact is not None:
                interaction, seen = fact
                unsaved.note(seen)
                found.append(interaction)
        return found

    def synced(self, did: str, at: datetime) -> None:
        """From now on a person's records are all sent again."""
        self._synced.note(did, at)

    def told(self, fate: Fate, unsaved: UnsavedLedger) -> list[FollowerAway]:
        """What became of a person's account, for each brand that they ever had to do with."""
        known = unsaved.known_to(fate.did)
        brands = {one.brand for one in self._watched if one.account.id in known and fate.did not in one.own}
        return [away(brand, fate) for brand in sorted(brands)]

    def _deleted(self, change: Change, unsaved: UnsavedLedger, now: datetime) -> list[Interaction]:
        noted = unsaved.find(change.uri)
        if change.collection == THREADGATE:
            return self._gated(change, (), unsaved, now) if noted else []
        if noted:
            unsaved.gone.add(change.uri)
        return [deleted(change, noted[one.account.id], one, now) for one in self._watched if one.account.id in noted]

    def _gated(
        self, change: Change, hidden: Sequence[Reference], unsaved: UnsavedLedger, now: datetime
    ) -> list[Interaction]:
        found: list[Interaction] = []
        for one in self._by_did.get(change.did, ()):
            if (fact := gated(change, hidden, one, partial(unsaved.of, one.account.id), now)) is not None:
                interactions, seen = fact
                unsaved.note(seen)
                found += interactions
                if change.operation == "delete":
                    unsaved.gone.add(change.uri)
        return found
