"""The way of a connector's interactions into the log, the same for every platform."""

import logging
from collections.abc import Iterable, Sequence
from datetime import timedelta

import msgspec

from rapport.contracts.charges import Charge
from rapport.contracts.codec import ASKED_HEADER
from rapport.contracts.controls import FollowerAway
from rapport.contracts.events import Interaction
from rapport.domain.exchanges.fitting import fit
from rapport.kit.broker.producer import Record
from rapport.kit.log import about, pseudonym
from services.ingest import metrics
from services.ingest.broker import LARGEST_VALUE, Broker, charge_record, control_record, record_of

PUSH_MAY_TAKE = timedelta(minutes=5)
"""What is younger when asking finds it may just be on its way."""
_CHECK = msgspec.json.Decoder(Interaction)


class Intake:
    """Checks, appends and counts what one source of a platform brought."""

    def __init__(
        self, platform: str, source: str, broker: Broker, log: logging.Logger, *, repairs: bool = False
    ) -> None:
        """`repairs`: the platform should have pushed all of it. What it did not push in time is marked."""
        self._platform = platform
        self._source = source
        self._broker = broker
        self._log = log
        self._repairs = repairs

    async def append(
        self, interactions: Iterable[Interaction], away: Iterable[FollowerAway], charges: Iterable[Charge] = ()
    ) -> int:
        """Returns once the broker has them, with how many there are. What cannot be taken is logged and left out.

        Raises NotAcknowledgedError.
        """
        checked = self._checked(interactions)
        records = [*(record for _, record in checked), *self._control_records(away), *map(charge_record, charges)]
        await self._broker.append(records)
        for interaction, _ in checked:
            metrics.ACCEPTED.labels(self._platform, interaction.kind).inc()
            lag = (interaction.observed_at - interaction.occurred_at).total_seconds()
            metrics.LAG.labels(self._platform).observe(lag)
        return len(records)

    def _checked(self, interactions: Iterable[Interaction]) -> list[tuple[Interaction, Record]]:
        """In bounds, with their records. What cannot be taken, for instance an id of 1,000 characters, is left out."""
        checked: list[tuple[Interaction, Record]] = []
        for interaction in interactions:
            try:
                fitting = fit(interaction)
                record = record_of(fitting)
                _CHECK.decode(record.value)
                if len(record.value) > LARGEST_VALUE:
                    raise ValueError(f"{len(record.value)} bytes; at most {LARGEST_VALUE} can be taken")
            except Exception as error:  # also what no check foresaw: the others of the batch go on
                metrics.REJECTED.labels(self._platform, "invalid").inc()
                self._log.error(
                    "%s %s: %.300s is skipped: %.300s",
                    self._platform, self._source, interaction.id, error, extra=about(interaction=interaction.id),
                )  # fmt: skip
            else:
                if self._repairs and interaction.observed_at - interaction.occurred_at > PUSH_MAY_TAKE:
                    record.headers.append(ASKED_HEADER)
                checked.append((fitting, record))
        return checked

    def _control_records(self, away: Iterable[FollowerAway]) -> Sequence[Record]:
        records: list[Record] = []
        for one in away:
            try:
                records.append(control_record(one))
            except Exception:  # a stranger's account must not hold up what comes with it
                metrics.REJECTED.labels(self._platform, "change").inc()
                who = pseudonym(one.follower)
                self._log.exception("%s %s: news about %s is skipped", self._platform, self._source, who)
        return records
