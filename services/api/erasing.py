"""That a brand forgets a follower. It goes into the log; the scorer and the views follow it."""

import logging
from datetime import UTC, datetime

from rapport.contracts.controls import FollowerErased
from rapport.domain.times import ms, utc
from services.api.broker import NotAcknowledgedError
from services.api.context import Context
from services.api.ids import follower_parts
from services.api.problems import not_found, unavailable

log = logging.getLogger("rapport.api")


async def erase(context: Context, brand: str, ref: str, by: str) -> FollowerErased:
    """Erases a follower (by its id in lists), known or not, for good.

    Returns once the log has it. Raises ProblemError: 404 where that is no follower's id, 503 where the broker does not
    confirm.
    """
    try:
        platform, follower = follower_parts(ref)
    except ValueError:
        raise not_found("follower") from None
    erased = FollowerErased(brand=brand, platform=platform, follower=follower, at=utc(ms(datetime.now(UTC))))
    try:
        await context.publisher.erase(erased)
    except NotAcknowledgedError as error:
        raise unavailable("the log does not take the erasure now; send it again when the log is back") from error
    # Whose it was is told to nobody, the log of the process included.
    log.info("%s erased a follower of %s on %s", by, brand, platform)
    return erased
