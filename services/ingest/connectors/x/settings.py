"""Settings of X's webhooks, and of what X is asked for."""

from pydantic import SecretStr

from rapport.kit.config import ServiceSettings


class XSettings(ServiceSettings):
    """Without a secret, no delivery is taken. Without a bearer token, X is asked for nothing."""

    x_secrets: SecretStr = SecretStr("")
    """The app's consumer secrets, separated by commas: the current one, and during a rotation the one before."""
    x_bearer: SecretStr = SecretStr("")
    """The app's bearer token: whether the webhook is valid, who is subscribed, and what is to be sent again."""
    x_mentions: bool = False
    """Whether mentions are read where X cannot send again what was missed. Each costs as much as a post."""
    x_api: str = "https://api.x.com"
    """The address of the interface."""
