"""Channel routes: where a brand's alerts go."""

import base64
import secrets
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from fastapi import APIRouter, Request

from rapport.contracts.sealed import webhook_place
from rapport.kit import mongo
from rapport.kit.http.outgoing import RefusedAddressError
from services.api.brands.documents import ChannelSince
from services.api.brands.repository import Brands
from services.api.channels.documents import ChannelDocument
from services.api.channels.repository import lacks_mail_server
from services.api.channels.schemas import SECRET_PREFIX, Channels, ChannelsInput, MailChannel, MailInput, WebhookChannel
from services.api.channels.service import by_knowledge, id_of, name_of
from services.api.http.context import Context, ContextDep
from services.api.http.problems import invalid, responses
from services.api.keys.service import PrincipalDep, ReadBrand, WriteBrand
from services.api.publishing.service import confirmed

router = APIRouter(prefix="/v1", tags=["channels"])
SECRET_BYTES = 32
NO_MAIL_SERVER = "Alerts by mail are not sent: this installation has no mail server. Its operator can set RAPPORT_SMTP."


def _new_secret() -> str:
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


@router.put("/brands/{brand}/channels", responses=responses(403, 404, 503), response_model_exclude_none=True)
async def put_channels(
    brand: str, new: ChannelsInput, tenants: WriteBrand, context: ContextDep, request: Request
) -> Channels:
    """Replaces a brand's channels. A new webhook's secret is shown in this answer only."""
    settings = request.state.brand["settings"]
    mine, others = by_knowledge(settings["channels"])
    known = {each["id"]: each for each in mine}
    ids = [found for each in others if (found := id_of(each)) is not None]
    if taken := set(ids) & {each.id for each in new.channels}:
        raise invalid("channels", f"the id {min(taken)!r} belongs to a channel that this version cannot change")
    times = settings.get("channels_since", [])
    now = await mongo.earlier_time(context.database)
    since = _added([*ids, *(each.id for each in new.channels)], {*known, *ids}, times, now)
    stored: list[Any] = list(others)
    shown: list[MailChannel | WebhookChannel] = []
    for place, channel in enumerate(new.channels):
        if isinstance(channel, MailInput):
            stored.append(_changed(known.get(channel.id), channel.model_dump()))
            shown.append(MailChannel(type="mail", id=channel.id, to=channel.to))
            continue
        before = known.get(channel.id)
        # An address from before this was checked stays, so that other channels can be changed.
        if before is None or before.get("url") != channel.url:
            try:
                context.guard.check(channel.url, "https", "http")
            except RefusedAddressError as error:
                raise invalid(f"channels.{place}.url", str(error).removeprefix("refused: ")) from None
        kept = before["secret"] if before is not None and before["type"] == "webhook" else None
        made = None if channel.secret or kept else _new_secret()
        new_one = channel.secret or made
        secret = context.sealer.seal(webhook_place(brand, channel.id), new_one) if new_one else kept
        changes = {"type": "webhook", "id": channel.id, "url": channel.url, "secret": secret}
        stored.append(_changed(before, changes))
        shown.append(WebhookChannel(type="webhook", id=channel.id, url=channel.url, secret=made))
    await Brands(context.database, tenants).change(brand, {"channels": stored, "channels_since": since})
    await confirmed(context.publisher, brand)
    return Channels(channels=shown, warnings=await _warnings(context, shown, others))


def _changed(known: ChannelDocument | None, changes: dict[str, Any]) -> dict[str, Any]:
    """A channel with its changes. Fields from a later version stay."""
    return {**known, **changes} if known is not None and known["type"] == changes["type"] else changes


def _added(ids: list[str], known: set[str], noted: list[ChannelSince], now: datetime) -> list[ChannelSince]:
    """When each channel was added; a new address changes nothing. Channels from before this was noted have no time."""
    times = {each["id"]: each["since"] for each in noted}
    added = {each: now for each in ids if each not in known}
    kept = {each: times[each] for each in ids if each in times and each in known}
    return [{"id": each, "since": at} for each, at in {**kept, **added}.items()]


def _host_only(url: str) -> str:
    """A webhook's address for read-only keys. Path, query and user can hold the receiver's credentials."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}/…"


@router.get("/brands/{brand}/channels", responses=responses(403, 404), response_model_exclude_none=True)
async def get_channels(_tenants: ReadBrand, who: PrincipalDep, context: ContextDep, request: Request) -> Channels:
    """A brand's channels without their secrets. Read-only keys see only the hosts of webhooks."""
    channels, others = by_knowledge(request.state.brand["settings"]["channels"])
    shown: list[MailChannel | WebhookChannel] = [
        MailChannel(type="mail", id=each["id"], to=each["to"])
        if each["type"] == "mail"
        else WebhookChannel(
            type="webhook", id=each["id"], url=each["url"] if who.may("write") else _host_only(each["url"])
        )
        for each in channels
    ]
    return Channels(channels=shown, warnings=await _warnings(context, shown, others))


async def _warnings(context: Context, channels: list[MailChannel | WebhookChannel], others: list[Any]) -> list[str]:
    found = await _without_mail_server(context, channels)
    if others:
        named = ", ".join(sorted(map(name_of, others)))
        found.append(
            f"A later version of Rapport added channels that this one cannot show. They stay as they are: {named}."
        )
    return found


async def _without_mail_server(context: Context, channels: list[MailChannel | WebhookChannel]) -> list[str]:
    mails = sorted(channel.id for channel in channels if channel.type == "mail")
    if not mails or not await lacks_mail_server(context.database):
        return []
    return [f"{NO_MAIL_SERVER} It affects: {', '.join(mails)}."]
