"""Which of Meta's two interfaces an Instagram account is reached through."""

from typing import Protocol

from rapport.contracts.events import Account

OF_FACEBOOK = "EA"
"""How tokens of Facebook Login begin. With those, Instagram is reached through Facebook's address."""


class Addresses(Protocol):
    """Of the two interfaces."""

    facebook_api: str
    instagram_api: str


def address_of(account: Account, settings: Addresses) -> str:
    """The address for an account that has a token."""
    by_facebook = account.connection.get("login") == "facebook" or account.connection["token"].startswith(OF_FACEBOOK)
    return settings.facebook_api if by_facebook else settings.instagram_api
