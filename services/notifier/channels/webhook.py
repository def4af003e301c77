"""Alerts as signed HTTP POSTs, after the Standard Webhooks specification."""

import asyncio
import binascii
import email.utils
import ssl
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

import httpx
import msgspec
from standardwebhooks.webhooks import EmptyWebhookSecretError, Webhook

from rapport.contracts.events import Alert, Notice, WebhookChannel
from rapport.kit.text import marked, plain
from services.notifier.channels import DeliveryError
from services.notifier.channels.addresses import RefusedAddressError, resolve

USER_AGENT = "Rapport/1"
_WORDS = frozenset({"handle", "name", "text", "owner"})
"""Fields that hold what people wrote. All others identify something."""
GONE = 410


class Sender:
    """Sends to clients' URLs. Use as an async context manager; safe for many sends at once."""

    def __init__(self, *, timeout: float, allow_private: bool) -> None:
        """`timeout` in seconds is for a whole send. `allow_private` also permits plain HTTP."""
        self._timeout = timeout
        self._allow_private = allow_private
        # No proxies from the environment: they would call an address that we did not check.
        self._http = httpx.AsyncClient(
            follow_redirects=False,
            trust_env=False,
            timeout=timeout,
            verify=ssl.create_default_context(),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
        )

    async def __aenter__(self) -> Self:
        await self._http.__aenter__()
        return self

    async def __aexit__(
        self, type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.__aexit__(type, error, trace)

    async def send(self, id: str, channel: WebhookChannel, body: bytes) -> None:
        """Delivers `body` under the stable id `id`. Raises DeliveryError."""
        try:
            async with asyncio.timeout(self._timeout):
                await self._post(id, channel, body)
        except TimeoutError:
            raise DeliveryError(f"no answer within {self._timeout:g} s") from None
        except httpx.HTTPError as error:
            raise DeliveryError(f"{type(error).__name__}: {error}") from error

    async def _post(self, id: str, channel: WebhookChannel, body: bytes) -> None:
        url = self._checked(channel.url)
        default_port = 443 if url.scheme == "https" else 80
        try:
            address = (await resolve(url.host, url.port or default_port, allow_private=self._allow_private))[0]
        except RefusedAddressError as error:
            raise DeliveryError(f"refused: {error}", for_good=True) from error
        except (OSError, UnicodeError) as error:
            raise DeliveryError(f"{url.host} does not resolve: {error}") from error
        headers = {
            "Host": url.netloc.decode(),
            "Content-Type": "application/json",
            "User-Agent": USER_AGENT,
            **signed(id, channel.secret, body, datetime.now(UTC)),
        }
        # The connection goes to the address just checked, so that a second look-up cannot lead elsewhere; the name is
        # still what TLS verifies.
        pinned = url.copy_with(host=str(address))
        request = self._http.build_request(
            "POST", pinned, content=body, headers=headers, extensions={"sni_hostname": url.host}
        )
        response = await self._http.send(request, stream=True)
        # The status says all; a body could be endless.
        await response.aclose()
        judge(response.status_code, response.headers.get("Retry-After"), datetime.now(UTC))

    def _checked(self, given: str) -> httpx.URL:
        try:
            url = httpx.URL(given)
        except (httpx.InvalidURL, UnicodeError) as error:
            raise DeliveryError(f"not a URL: {error}", for_good=True) from error
        if not url.host or url.scheme not in ("https", "http"):
            raise DeliveryError("refused: not an https:// URL", for_good=True)
        if url.scheme == "http" and not self._allow_private:
            raise DeliveryError("refused: plain http:// would send people's words unencrypted", for_good=True)
        return url


def judge(status: int, retry_after: str | None, now: datetime) -> None:
    """Returns for 2xx; raises DeliveryError for the rest. A redirect is a failure: it was not what the client gave."""
    if 200 <= status < 300:
        return
    if status == GONE:
        raise DeliveryError("disabled: the receiver answered 410 Gone", for_good=True)
    why = ", a redirect, which is not followed" if 300 <= status < 400 else ""
    raise DeliveryError(f"the receiver answered {status}{why}", retry_after=seconds_of(retry_after, now))


def seconds_of(retry_after: str | None, now: datetime) -> float | None:
    """The seconds in a Retry-After header, which holds seconds or an HTTP date; None where there is no sense in it."""
    if retry_after is None:
        return None
    if retry_after.strip().isascii() and retry_after.strip().isdigit():
        return float(retry_after)
    try:
        until = email.utils.parsedate_to_datetime(retry_after)
    except ValueError:
        return None
    return max(0.0, (until.replace(tzinfo=until.tzinfo or UTC) - now).total_seconds())


def signed(id: str, secret: str, body: bytes, at: datetime) -> dict[str, str]:
    """The three Standard Webhooks headers. Raises DeliveryError for a secret that is none."""
    try:
        signature = Webhook(secret).sign(id, at, body.decode())
    except (binascii.Error, EmptyWebhookSecretError, ValueError) as error:
        raise DeliveryError("the channel's secret is not whsec_ and base64", for_good=True) from error
    return {"webhook-id": id, "webhook-timestamp": str(int(at.timestamp())), "webhook-signature": signature}


def body_of(notice: Notice, link: str) -> bytes:
    """What is posted: `{"type", "timestamp", "data": what is told and its `link`}`; the same each time.

    `type` is `alert.<step>`, or `post.missing`. Texts are cleaned, since receivers put them into chats and mails; in
    ids and addresses a character that cannot be seen is U+FFFD.
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
