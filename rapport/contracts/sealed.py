"""What each secret of a brand's record is sealed for: it opens in that place alone."""


def door_place(account: str) -> str:
    """What the secrets of an account's door are sealed for."""
    return f"door/{account}"


def webhook_place(brand: str, channel: str) -> str:
    """What the secret of a webhook is sealed for."""
    return f"webhook/{brand}/{channel}"
