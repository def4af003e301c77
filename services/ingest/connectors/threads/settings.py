"""Settings of Threads' webhooks."""

from pydantic import SecretStr

from rapport.kit.config import ServiceSettings


class ThreadsSettings(ServiceSettings):
    """Without a secret, no delivery is taken."""

    threads_secrets: SecretStr = SecretStr("")
    """The Threads app's secrets (not the Facebook app's), separated by commas: the current one, and during a rotation
    the one before."""
    threads_verify_token: SecretStr = SecretStr("")
    """What Meta sends to make sure of the address, as entered at the app's webhooks."""
    threads_api: str = "https://graph.threads.net/v1.0"
    """The address of the interface, for what is asked and written."""
