"""Settings of Facebook's webhooks."""

from pydantic import SecretStr

from rapport.kit.config import ServiceSettings


class FacebookSettings(ServiceSettings):
    """Without a secret, no delivery is taken."""

    facebook_secrets: SecretStr = SecretStr("")
    """The app's secrets, separated by commas: the current one, and during a rotation the one before."""
    facebook_verify_token: SecretStr = SecretStr("")
    """What Facebook sends to make sure of the address, as entered at the app's webhooks."""
    facebook_api: str = "https://graph.facebook.com/v24.0"
    """The address of the interface, for what is asked and written."""
