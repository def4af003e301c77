"""Settings of the notifier."""

from email.utils import parseaddr

from pydantic import Field, SecretStr, field_validator

from rapport.kit.config import MongoSettings, OutgoingSettings, ReaderSettings, SealingSettings, TracedSettings
from rapport.kit.mail_address import in_ascii
from services.notifier.channels.mail import MailServer


class NotifierSettings(MongoSettings, OutgoingSettings, ReaderSettings, SealingSettings, TracedSettings):
    """RAPPORT_… of `rapport notifier`."""

    port: int = 8003
    smtp: SecretStr | None = None
    """The installation's mail server: `smtp://`, `smtp+starttls://` or `smtps://`, `[user:password@]host[:port]`."""
    mail_from: str = "Rapport <rapport@localhost>"
    portal: str = "http://127.0.0.1:8000"
    """Where people reach the portal; the links in messages start with it."""
    send_seconds: float = Field(default=15.0, gt=0)
    """How long one webhook may take. A claim is held for three times as long, and renewed while it is being sent."""
    mail_seconds: float = Field(default=120.0, gt=0)
    """How long handing over one mail may take, all steps together. Servers that check for spam take their time."""

    @field_validator("mail_from")
    @classmethod
    def _mail_from_is_an_address(cls, given: str) -> str:
        in_ascii(parseaddr(given)[1])
        return given

    @field_validator("smtp")
    @classmethod
    def _smtp_is_an_address(cls, given: SecretStr | None) -> SecretStr | None:
        if given is not None:
            MailServer.parse(given.get_secret_value())
        return given
