"""People on the Bluesky network, as ingest knows them, and what it says of their records."""

from uuid import uuid4

from rapport.contracts.events import Account, Brand, Interaction
from services.ingest.connectors.bluesky.source import REPOS_PATH
from tests.platforms.bluesky.network import Network, Person, Ref
from tests.services.ingest.service import CONNECTED_AT, Ingest, Log


def on_bluesky(person: Person) -> Account:
    """The account of a brand whose events come from the PDS itself."""
    return Account(
        id=f"account-{uuid4().hex[:12]}",
        platform="bluesky",
        handle=person.handle,
        connected_at=CONNECTED_AT,
        door_secrets=(),
        connection={"service": person.pds, "did": person.did},
    )


def accounts_read(ingest: Ingest, network: Network) -> float:
    """For how many accounts the PDS is being read right now."""
    address = f"ws://{network.pds.partition('//')[2]}{REPOS_PATH}"
    return ingest.metric(f'rapport_ingest_accounts_followed{{platform="bluesky",source="{address}"}}')


def newcomer(network: Network, name: str) -> Person:
    """Someone whom no other test knows."""
    return network.create_account(f"{name}-{uuid4().hex[:6]}")


class Seen:
    """The brand's interactions, found by the record they are about."""

    def __init__(self, log: Log, brand: Brand) -> None:
        self._log = log
        self._brand = brand.id

    def of(self, ref: Ref, kind: str | None = None) -> Interaction:
        """The first one about a record."""

        def fits(one: Interaction) -> bool:
            return one.object.id == ref.uri and kind in (None, one.kind)

        found = self._log.wait(self._brand, f"{kind} of {ref.uri}", lambda found: any(map(fits, found)))
        return next(filter(fits, found))

    def undone(self, ref: Ref) -> Interaction:
        """The one that takes a record back."""

        def fits(one: Interaction) -> bool:
            return one.object.id == ref.uri and (one.undo or one.kind == "delete")

        found = self._log.wait(self._brand, f"undoing of {ref.uri}", lambda found: any(map(fits, found)))
        return next(filter(fits, found))

    def ids(self) -> list[str]:
        """The records of all so far."""
        return [one.object.id for one in self._log.interactions(self._brand)]
