"""Control records to a follower's exchanges: blocks, accounts that are away, and stages."""

from typing import cast

from rapport.contracts import codec
from rapport.contracts.controls import FollowerAway, FollowerBlocked, Stage, StageTold
from rapport.contracts.events import ExchangeSnapshot
from rapport.contracts.rows import AwayState, BlockState, FollowerRow
from rapport.contracts.topics import CONVERSATIONS, key_of, partition_of
from rapport.domain.relationships.counting import standing
from rapport.domain.relationships.relationship import stage
from services.scorer.fenced.batch import Batch, Output
from services.scorer.rows.relationships import OpenExchangeRow, current_scoring, open_key, open_of


def tell_block(row: FollowerRow, block: BlockState, batch: Batch) -> None:
    """Notes a block or its end, and tells every open exchange of the follower."""
    if row.block is not None and (row.block.at, row.block.id) >= (block.at, block.id):
        return
    row.block = block
    for key in batch.keys(open_of(row.brand, row.platform, row.follower)):
        exchange = batch.row(key, OpenExchangeRow)
        if exchange is None or (exchange.blocked and not block.lifted):
            continue  # it is over already
        # The end of a block is told also where nobody has answered yet that it began: a next one may come before that.
        batch.emit(_block_record(row, exchange, block))
        if exchange.blocked:
            batch.drop(key)


def tell_away(row: FollowerRow, away: AwayState, batch: Batch) -> None:
    """Tells the follower's exchanges what became of the account; `row.aways` has it already."""
    for key in batch.keys(open_of(row.brand, row.platform, row.follower)):
        exchange = batch.row(key, OpenExchangeRow)
        if exchange is None:
            continue
        batch.emit(_away_record(row, exchange, away))
        if exchange.gone and row.aways[-1].how == "back":
            batch.drop(key)


def answer_exchange(exchange: ExchangeSnapshot, row: FollowerRow, clock: int, batch: Batch) -> None:
    """Keeps where open exchanges are; tells one of a block or its end, and of the stage if it asks."""
    key = open_key(row.brand, row.platform, row.follower, exchange.id)
    by_block = exchange.cancelled_because == "blocked"
    is_open, removed = exchange.state == "open", exchange.cancelled_because == "deleted"
    gone = removed and bool(row.aways) and row.aways[-1].how == "deleted"
    known = OpenExchangeRow(conversation=exchange.conversation, thread=exchange.thread, blocked=by_block, gone=gone)
    blocked = row.block is not None and not row.block.lifted
    if is_open or (by_block and blocked) or gone:
        if batch.row(key, OpenExchangeRow) != known:
            batch.keep(key, known)
    elif batch.row(key, OpenExchangeRow) is not None:
        batch.drop(key)
    if row.block is not None and (is_open if blocked else by_block):
        batch.emit(_block_record(row, known, row.block))
    for away in row.aways if is_open or removed else ():
        # Told again even where it may know: an exchange takes in the same news only once.
        batch.emit(_away_record(row, known, away))
    if exchange.stage_wanted:
        its_stage = stage(*standing(row), clock, current_scoring(batch))
        told = StageTold(
            brand=row.brand, platform=row.platform, thread=exchange.thread, follower=row.follower,
            comment=exchange.first.id, stage=cast(Stage, its_stage),
        )  # fmt: skip
        batch.emit(_control_record(told, row, exchange.conversation, f"stage:{exchange.first.id}"))


def _block_record(row: FollowerRow, exchange: OpenExchangeRow, block: BlockState) -> Output:
    event = FollowerBlocked(
        id=block.id, brand=row.brand, platform=row.platform, thread=exchange.thread, follower=row.follower,
        at=block.at, lifted=block.lifted,
    )  # fmt: skip
    return _control_record(event, row, exchange.conversation, f"block:{block.id}")


def _away_record(row: FollowerRow, exchange: OpenExchangeRow, away: AwayState) -> Output:
    event = FollowerAway(
        id=away.id, brand=row.brand, platform=row.platform, thread=exchange.thread, follower=row.follower,
        at=away.at, how=away.how,
    )  # fmt: skip
    return _control_record(event, row, exchange.conversation, f"away:{away.id}")


def _control_record(
    event: FollowerBlocked | FollowerAway | StageTold, row: FollowerRow, conversation: str, id: str
) -> Output:
    """A control record in the partition of a conversation."""
    key = key_of(row.brand, row.platform, conversation)
    return Output(
        topic=CONVERSATIONS.name,
        partition=partition_of(key, CONVERSATIONS.partitions),
        key=key,
        value=codec.encode(event),
        headers=tuple(codec.headers("rapport.control.v1", id=id, source="/rapport/scorer")),
    )
