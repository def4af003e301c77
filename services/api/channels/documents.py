"""Channels as stored within their brand's settings, and what the notifier stores about itself."""

from typing import Literal, TypedDict


class MailChannelDocument(TypedDict):
    """Alerts by mail."""

    type: Literal["mail"]
    id: str
    to: str


class WebhookChannelDocument(TypedDict):
    """Alerts by HTTP POST."""

    type: Literal["webhook"]
    id: str
    url: str
    secret: str
    """Signs the requests."""


ChannelDocument = MailChannelDocument | WebhookChannelDocument
"""A channel that this version can read. A later version may have given it more fields, which stay."""


class AbilitiesDocument(TypedDict):
    """`notifier`, `_id` `abilities`: what the notifier can send; see `services.notifier.abilities`."""

    mail: bool
