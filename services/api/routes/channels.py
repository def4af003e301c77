"""Where a brand's alerts go."""

import base64
import secrets
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from fastapi import APIRouter, Request

from services.api.auth import PrincipalDep, ReadBrand, WriteBrand
from services.api.channels import by_knowledge, id_of, name_of
from services.api.context import Context, ContextDep
from services.api.problems import invalid, responses
from services.api.repositories.abilities import lacks_mail_server
from services.api.repositories.brands import Brands
from services.api.routes.publishing import confirmed
from services.api.schemas.settings import (
    SECRET_PREFIX,
    Channels,
    ChannelsInput,
    MailChannel,
    MailInput,
    WebhookChannel,
)

router = APIRouter(prefix="/v1", tags=["channels"])
SECRET_BYTES = 32
NO_MAIL_SERVER = (
    "Alerts by mail are not sent: this installation has no mail server. Whoever runs it can set RAPPORT_SMTP."
)


def _new_secret() -> str:
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


@router.put("/brands/{brand}/channels", responses=responses(403, 404, 503), response_model_exclude_none=True)
async def put_channels(
    brand: str, new: ChannelsInput, tenants: WriteBrand, context: ContextDep, request: Request
) -> Channels:
    """Replaces a brand's channels. A secret that was made for a webhook is in this answer and in no other."""
    settings = request.state.brand["settings"]
    mine, others = by_knowledge(settings["channels"])
    known = {each["id"]: each for each in mine}
    ids = [found for each in others if (found := id_of(each)) is not None]
    if taken := set(ids) & {each.id for each in new.channels}:
        raise invalid("channels", f"the id {min(taken)!r} is that of a channel which this version cannot change")
    times = settings.get("channels_since", [])
    since = _since([*ids, *(each.id for each in new.channels)], {*known, *ids}, times)
    stored: list[Any] = list(others)
    shown: list[MailChannel | WebhookChannel] = []
    for channel in new.channels:
        if isinstance(channel, MailInput):
            stored.append(_changed(known.get(channel.id), channel.model_dump()))
            shown.append(MailChannel(type="mail", id=channel.id, to=channel.to))
            continue
        secret = channel.secret or known.get(channel.id, {}).get("secret")
        made = None if secret else _new_secret()
        changes = {"type": "webhook", "id": channel.id, "url": channel.url, "secret": secret or made}
        stored.append(_changed(known.get(channel.id), changes))
        shown.append(WebhookChannel(type="webhook", id=channel.id, url=channel.url, secret=made))
    await Brands(context.database, tenants).change(brand, {"channels": stored, "channels_since": since})
    await confirmed(context, brand)
    return Channels(channels=shown, warnings=await _warnings(context, shown, others))


def _changed(known: dict[str, Any] | None, changes: dict[str, Any]) -> dict[str, Any]:
    """A channel with its changes; fields that a later version gave it stay."""
    return {**known, **changes} if known is not None and known["type"] == changes["type"] else changes


def _since(ids: list[str], known: set[str], noted: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """When each channel was added; a changed address does not count. Those from before it was noted have no time."""
    now = datetime.now(UTC)
    times = {each["id"]: each["since"] for each in noted}
    added = {each: now for each in ids if each not in known}
    kept = {each: times[each] for each in ids if each in times and each in known}
    return [{"id": each, "since": at} for each, at in {**kept, **added}.items()]


def _host_only(url: str) -> str:
    """A webhook's address for those who may only read: path, query and user may hold the receiver's credentials."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}/…"


@router.get("/brands/{brand}/channels", responses=responses(403, 404), response_model_exclude_none=True)
async def get_channels(_tenants: ReadBrand, who: PrincipalDep, context: ContextDep, request: Request) -> Channels:
    """A brand's channels, without their secrets. A key that may only read sees the hosts of webhooks, no more."""
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
        found.append(f"A later version of Rapport set up more channels. They are kept as they are: {named}.")
    return found


async def _without_mail_server(context: Context, channels: list[MailChannel | WebhookChannel]) -> list[str]:
    mails = sorted(channel.id for channel in channels if channel.type == "mail")
    if not mails or not await lacks_mail_server(context.database):
        return []
    return [f"{NO_MAIL_SERVER} It affects: {', '.join(mails)}."]
