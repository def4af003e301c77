"""What each secret of a brand's record is sealed for: it opens in that place alone."""

from collections.abc import Callable, Mapping
from typing import TypeAlias

Change: TypeAlias = Callable[[str, str], str]


def door_place(account: str) -> str:
    """What the secrets of an account's door are sealed for."""
    return f"door/{account}"


def webhook_place(brand: str, channel: str) -> str:
    """What the secret of a webhook is sealed for."""
    return f"webhook/{brand}/{channel}"


CONNECTION_SECRETS = ("token", "refresh_token", "password")
"""The fields of a connection that are secret."""


def connection_place(account: str, field: str) -> str:
    """What a secret of an account's connection is sealed for."""
    return f"connection/{account}/{field}"


def changed_connection(account: str, connection: Mapping[str, str], change: Change) -> dict[str, str]:
    """A connection with its secrets sealed, or opened: `change` gets a place and a secret."""
    return {
        name: change(connection_place(account, name), value) if name in CONNECTION_SECRETS else value
        for name, value in connection.items()
    }
