"""Where a brand's alerts go."""

import base64
import secrets
from typing import Any

from fastapi import APIRouter, Request

from services.api.auth import ReadBrand, WriteBrand
from services.api.context import ContextDep
from services.api.problems import responses
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


def _new_secret() -> str:
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


@router.put("/brands/{brand}/channels", responses=responses(403, 404, 503), response_model_exclude_none=True)
async def put_channels(
    brand: str, new: ChannelsInput, tenants: WriteBrand, context: ContextDep, request: Request
) -> Channels:
    """Replaces a brand's channels. A secret that was made for a webhook is in this answer and in no other."""
    known = {each["id"]: each.get("secret") for each in request.state.brand["settings"]["channels"]}
    stored: list[dict[str, Any]] = []
    shown: list[MailChannel | WebhookChannel] = []
    for channel in new.channels:
        if isinstance(channel, MailInput):
            stored.append(channel.model_dump())
            shown.append(MailChannel(type="mail", id=channel.id, to=channel.to))
            continue
        secret = channel.secret or known.get(channel.id)
        made = None if secret else _new_secret()
        stored.append({"type": "webhook", "id": channel.id, "url": channel.url, "secret": secret or made})
        shown.append(WebhookChannel(type="webhook", id=channel.id, url=channel.url, secret=made))
    await Brands(context.database, tenants).change(brand, {"channels": stored})
    await confirmed(context, brand)
    return Channels(channels=shown)


@router.get("/brands/{brand}/channels", responses=responses(403, 404), response_model_exclude_none=True)
async def get_channels(_tenants: ReadBrand, request: Request) -> Channels:
    """A brand's channels, without their secrets."""
    shown: list[MailChannel | WebhookChannel] = [
        MailChannel(type="mail", id=each["id"], to=each["to"])
        if each["type"] == "mail"
        else WebhookChannel(type="webhook", id=each["id"], url=each["url"])
        for each in request.state.brand["settings"]["channels"]
    ]
    return Channels(channels=shown)
