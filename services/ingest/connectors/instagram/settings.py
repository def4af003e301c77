"""Settings of Instagram's webhooks."""

from pydantic import SecretStr

from rapport.kit.config import ServiceSettings


class InstagramSettings(ServiceSettings):
    """Without a secret, no delivery is taken."""

    instagram_secrets: SecretStr = SecretStr("")
    """The app's secrets, separated by commas: the current one, and during a rotation the one before. With Instagram
    Login Meta signs with the Instagram app's secret, with Facebook Login with the Facebook app's."""
    instagram_verify_token: SecretStr = SecretStr("")
    """What Meta sends to make sure of the address, as entered at the app's webhooks."""
    instagram_api: str = "https://graph.instagram.com/v24.0"
    """The address of the interface, for what is asked and written."""
