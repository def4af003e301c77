"""Erasing a follower: a record in the log, which the scorer and the views follow."""

import logging

from rapport.contracts.controls import FollowerErased
from rapport.kit import clock
from rapport.kit.broker.producer import NotAcknowledgedError
from services.api.http.context import Context
from services.api.http.ids import follower_parts
from services.api.http.problems import not_found, unavailable

log = logging.getLogger("rapport.api")


async def erase(context: Context, brand: str, ref: str, by: str) -> FollowerErased:
    """Erases a follower for good. `ref` is the id in lists; the follower need not be known.

    Returns once the log has it. Raises ProblemError: 404 if `ref` is not a follower's id, 503 if the broker does not
    confirm.
    """
    try:
        platform, follower = follower_parts(ref)
    except ValueError:
        raise not_found("follower") from None
    erased = FollowerErased(brand=brand, platform=platform, follower=follower, at=clock.now())
    try:
        await context.publisher.erase(erased)
    except NotAcknowledgedError as error:
        raise unavailable("Kafka does not accept the erasure right now; send it again when Kafka is back") from error
    # Not even this process's log says who it was.
    log.info("%s erased a follower of %s on %s", by, brand, platform)
    return erased
