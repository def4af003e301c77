"""How a process gets into Kafka: its user and password, and whether the connection is encrypted."""

import ssl
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

TOGETHER = "RAPPORT_KAFKA_USER and RAPPORT_KAFKA_PASSWORD are needed together"


class KafkaLogin(BaseSettings):
    """From RAPPORT_KAFKA_…. User and password: both or neither. Without them the clients log in as nobody."""

    # An error must not repeat the value, which may be a password.
    model_config = SettingsConfigDict(env_prefix="RAPPORT_", extra="ignore", frozen=True, hide_input_in_errors=True)

    kafka_user: str | None = None
    kafka_password: SecretStr | None = None
    kafka_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "PLAIN"
    """Of SASL. With SCRAM the password itself is never sent."""
    kafka_tls: bool = False
    kafka_ca: Path | None = None
    """A file of authorities, in PEM. One must have signed the brokers' certificates. None: those of the system."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.kafka_user is None) != (self.kafka_password is None):
            raise ValueError(TOGETHER)
        if self.kafka_ca is not None and not self.kafka_tls:
            raise ValueError("RAPPORT_KAFKA_CA has no effect without RAPPORT_KAFKA_TLS=true")
        try:
            self._context()
        except (OSError, ssl.SSLError) as error:
            why = error.strerror if isinstance(error, OSError) and error.strerror else "it has no certificate in PEM"
            raise ValueError(f"RAPPORT_KAFKA_CA cannot be used: {self.kafka_ca}: {why}") from None
        return self

    @classmethod
    def of(cls, user: str | None, password: str | None) -> Self:
        """The login with this user and password, whatever the environment says of them; None means no login."""
        return cls(kafka_user=user, kafka_password=SecretStr(password) if password is not None else None)

    def variables(self) -> dict[str, str]:
        """The variables that give another process this login."""
        if self.kafka_user is None or self.kafka_password is None:
            return {}
        return {
            "RAPPORT_KAFKA_USER": self.kafka_user,
            "RAPPORT_KAFKA_PASSWORD": self.kafka_password.get_secret_value(),
        }

    def options(self) -> dict[str, Any]:
        """The options for a client of kafka-python or aiokafka; both have the same names for them."""
        found: dict[str, Any] = {}
        if self.kafka_tls:
            found |= {"security_protocol": "SSL", "ssl_context": self._context()}
        if self.kafka_user is not None and self.kafka_password is not None:
            found |= {
                "security_protocol": "SASL_SSL" if self.kafka_tls else "SASL_PLAINTEXT",
                "sasl_mechanism": self.kafka_mechanism,
                "sasl_plain_username": self.kafka_user,
                "sasl_plain_password": self.kafka_password.get_secret_value(),
            }
        return found

    def _context(self) -> ssl.SSLContext | None:
        """Checks certificates and host names. Read for each client, so that one made later knows a renewed authority.

        Raises OSError and SSLError.
        """
        return ssl.create_default_context(cafile=self.kafka_ca) if self.kafka_tls else None


def login(who: KafkaLogin | None = None) -> dict[str, Any]:
    """The options that every Kafka client gets for its login: that of `who`, else of this process.

    Raises ValidationError.
    """
    return (who or KafkaLogin()).options()
