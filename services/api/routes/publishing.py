"""What every route that changes a setting ends with."""

from services.api.broker import NotAcknowledgedError
from services.api.context import Context
from services.api.problems import unavailable


async def confirmed(context: Context, brand: str) -> None:
    """Returns once the log has the brand's settings. Raises ProblemError (503) where it does not take them."""
    try:
        await context.publisher.publish(brand)
    except NotAcknowledgedError as error:
        raise unavailable(
            "the log does not take the change now; it is kept and will take effect when the log is back, and the same "
            "request may be sent again"
        ) from error
