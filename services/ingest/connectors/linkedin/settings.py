"""Settings of LinkedIn's webhooks."""

from pydantic import Field, SecretStr

from rapport.kit.config import ServiceSettings


class LinkedInSettings(ServiceSettings):
    """Without a secret, no delivery is taken."""

    linkedin_secrets: SecretStr = SecretStr("")
    """The app's client secrets, separated by commas: the current one, and during a rotation the one before."""
    linkedin_api: str = "https://api.linkedin.com"
    """The address of the interface, for what is written and asked."""
    linkedin_application: str = Field(default="", pattern=r"^[0-9]{0,20}$")
    """The application's number at LinkedIn, to ask whether pages are still subscribed to it."""
