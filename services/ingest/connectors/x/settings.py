"""Settings of X's webhooks."""

from pydantic import SecretStr

from rapport.kit.config import ServiceSettings


class XSettings(ServiceSettings):
    """Without a secret, no delivery is taken."""

    x_secrets: SecretStr = SecretStr("")
    """The app's consumer secrets, separated by commas: the current one, and during a rotation the one before."""
