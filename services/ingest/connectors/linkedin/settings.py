"""Settings of LinkedIn's webhooks."""

from pydantic import SecretStr

from rapport.kit.config import ServiceSettings


class LinkedInSettings(ServiceSettings):
    """Without a secret, no delivery is taken."""

    linkedin_secrets: SecretStr = SecretStr("")
    """The app's client secrets, separated by commas: the current one, and during a rotation the one before."""
    linkedin_api: str = "https://api.linkedin.com"
    """The address of the interface, for what is written."""
