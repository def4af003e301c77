"""Sends alerts as signed HTTP POSTs, as the Standard Webhooks specification says."""

import binascii
import email.utils
import logging
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

import httpx
import msgspec
from standardwebhooks.webhooks import EmptyWebhookSecretError, Webhook

from rapport.contracts.events import Alert, Notice, WebhookChannel
from rapport.kit.http.outgoing import Guard, GuardedHttp, RefusedAddressError, described
from rapport.kit.text import marked, plain
from services.notifier.channels import DeliveryError

log = logging.getLogger("rapport.notifier.webhook")

USER_AGENT = "Rapport/1"
_WORDS = frozenset({"handle", "name", "text", "owner"})
"""Fields that hold what people wrote. All others are identifiers."""
GONE = 410


class Sender:
    """Sends to clients' URLs. Use as an async context manager; safe for many sends at once."""

    def __init__(self, *, timeout: float, allow_private: bool) -> None:
        """`timeout` in seconds is for a whole send. `allow_private` also permits plain HTTP."""
        self._timeout = timeout
        self._http = GuardedHttp(Guard(allow_private=allow_private), timeout=timeout)

    async def __aenter__(self) -> Self:
        await self._http.__aenter__()
        return self

    async def __aexit__(
        self, type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.__aexit__(type, error, trace)

    async def send(self, id: str, channel: WebhookChannel, body: bytes) -> None:
        """Delivers `body` under the stable id `id`. Raises DeliveryError."""
        now = datetime.now(UTC)
        headers = {
            "Content-Type": "application/json",
            "User-Agent": USER_AGENT,
            **signed(id, channel.secret, body, now),
        }
        try:
            # The status is enough; a body could be endless.
            status, answered, _ = await self._http.send("POST", channel.url, headers, body)
        except RefusedAddressError as error:
            raise DeliveryError(described(error), for_good=True) from error
        except TimeoutError:
            raise DeliveryError(f"no answer within {self._timeout:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            log.info("delivery %s: %s: %s", id, type(error).__name__, error)
            raise DeliveryError(described(error)) from error
        judge(status, answered.get("Retry-After"), now)


def judge(status: int, retry_after: str | None, now: datetime) -> None:
    """Returns for 2xx, raises DeliveryError for everything else. A redirect fails: the client gave another address."""
    if 200 <= status < 300:
        return
    if status == GONE:
        raise DeliveryError("disabled: the receiver answered 410 Gone", for_good=True)
    why = ", a redirect, which is not followed" if 300 <= status < 400 else ""
    raise DeliveryError(f"the receiver answered {status}{why}", retry_after=seconds_of(retry_after, now))


def seconds_of(retry_after: str | None, now: datetime) -> float | None:
    """The seconds of a Retry-After header, which holds seconds or an HTTP date; None if it makes no sense."""
    if retry_after is None:
        return None
    if retry_after.strip().isascii() and retry_after.strip().isdigit():
        return float(retry_after)
    try:
        until = email.utils.parsedate_to_datetime(retry_after)
    except (ValueError, OverflowError):
        return None
    return max(0.0, (until.replace(tzinfo=until.tzinfo or UTC) - now).total_seconds())


def signed(id: str, secret: str, body: bytes, at: datetime) -> dict[str, str]:
    """The three Standard Webhooks headers. Raises DeliveryError if the secret is not valid."""
    try:
        signature = Webhook(secret).sign(id, at, body.decode())
    except (binascii.Error, EmptyWebhookSecretError, ValueError) as error:
        raise DeliveryError("the channel's secret is not valid: it must be whsec_ and base64", for_good=True) from error
    return {"webhook-id": id, "webhook-timestamp": str(int(at.timestamp())), "webhook-signature": signature}


def body_of(notice: Notice, link: str) -> bytes:
    """The body of the POST: `{"type", "timestamp", "data": the notice and its `link`}`; the same each time.

    `type` is `alert.<step>`, or `post.missing`. Texts are cleaned, because receivers put them into chats and mails. In
    ids and addresses an invisible character becomes U+FFFD.
    """
    data = _cleaned({**msgspec.to_builtins(notice), "link": link})
    stamp = msgspec.to_builtins(notice.created_at)
    what = f"alert.{notice.step}" if isinstance(notice, Alert) else "post.missing"
    return msgspec.json.encode({"type": what, "timestamp": stamp, "data": data})


def _cleaned(value: Any, field: str = "") -> Any:
    if isinstance(value, dict):
        return {name: _cleaned(each, name) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_cleaned(each, field) for each in value]
    if isinstance(value, str):
        return plain(value) if field in _WORDS else marked(value)
    return value
