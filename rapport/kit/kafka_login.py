"""The user and password that Kafka asks for, from RAPPORT_KAFKA_USER and RAPPORT_KAFKA_PASSWORD."""

from typing import Any, Self

from pydantic import SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

TOGETHER = "RAPPORT_KAFKA_USER and RAPPORT_KAFKA_PASSWORD are needed together"


class KafkaLogin(BaseSettings):
    """Both or neither. Without them the broker is asked as nobody in particular."""

    model_config = SettingsConfigDict(
        env_prefix="RAPPORT_KAFKA_", extra="ignore", frozen=True, hide_input_in_errors=True
    )

    user: str | None = None
    password: SecretStr | None = None

    @model_validator(mode="after")
    def _both(self) -> Self:
        if (self.user is None) != (self.password is None):
            raise ValueError(TOGETHER)
        return self

    @classmethod
    def of(cls, user: str | None, password: str | None) -> Self:
        """The login with this user and password, whatever the environment says; None stands for nobody."""
        return cls(user=user, password=SecretStr(password) if password is not None else None)

    def environment(self) -> dict[str, str]:
        """The variables that give another process this login."""
        if self.user is None or self.password is None:
            return {}
        return {"RAPPORT_KAFKA_USER": self.user, "RAPPORT_KAFKA_PASSWORD": self.password.get_secret_value()}

    def options(self) -> dict[str, Any]:
        """The login as a client of kafka-python or aiokafka takes it; both call the options the same."""
        if self.user is None or self.password is None:
            return {}
        return {
            "security_protocol": "SASL_PLAINTEXT",
            "sasl_mechanism": "PLAIN",
            "sasl_plain_username": self.user,
            "sasl_plain_password": self.password.get_secret_value(),
        }


def login(who: KafkaLogin | None = None) -> dict[str, Any]:
    """What every Kafka client is given beside its own options: the login `who`, else this process's.

    Raises ValidationError.
    """
    return (who or KafkaLogin()).options()
