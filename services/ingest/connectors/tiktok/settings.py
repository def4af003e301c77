"""Settings of TikTok's webhooks."""

from pydantic import SecretStr

from rapport.kit.config import ServiceSettings


class TiktokSettings(ServiceSettings):
    """Without a secret, no delivery is taken."""

    tiktok_secrets: SecretStr = SecretStr("")
    """The app's secrets, separated by commas: the current one, and during a rotation the one before."""
    tiktok_api: str = "https://business-api.tiktok.com"
    """The address of the interface, for what is written and asked."""
    tiktok_client_id: str = ""
    """The application's id, to ask whether TikTok still pushes to us. The API has the same setting."""
