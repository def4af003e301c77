"""Settings of X's webhooks, and of what X is asked for."""

from pydantic import SecretStr

from rapport.kit.config import HeaderSecret, ServiceSettings


class XSettings(ServiceSettings):
    """Without a secret, no delivery is taken. Without a bearer token, X is asked for nothing."""

    x_secrets: SecretStr = SecretStr("")
    """What X signs with, separated by commas: the app's OAuth 2.0 client secret, its OAuth 1.0 consumer secret where it
    has one, and during a rotation those before. X's check is answered with the first."""
    x_bearer: HeaderSecret = SecretStr("")
    """The app's bearer token: whether the webhook is valid, who is subscribed, and what is to be sent again."""
    x_mentions: bool = False
    """Whether mentions are read where X cannot send again what was missed. Each costs as much as a post."""
    x_api: str = "https://api.x.com"
    """The address of the interface."""
