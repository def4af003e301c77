"""Settings of a service: one typed object, from the environment, said aloud at start without its secrets."""

import ipaddress
import re
from pathlib import Path
from typing import Self

from pydantic import AliasChoices, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from rapport.kit.kafka_login import TOGETHER

_EXAMPLE = "rapport.conversations.v1:3:88110"
_NUMBER = "(0|[1-9][0-9]{0,18})"
_PLACE = re.compile(rf"[A-Za-z0-9._-]+:{_NUMBER}:{_NUMBER}")
"""Of a record, as `dead_letters.place_of` writes it: another spelling would never be found."""


class ServiceSettings(BaseSettings):
    """What every service has. Each reads `RAPPORT_<NAME>`; a wrong value stops the start and is named."""

    # An error must not repeat the value: it may be an address with a password in it.
    model_config = SettingsConfigDict(env_prefix="RAPPORT_", extra="ignore", frozen=True, hide_input_in_errors=True)

    host: str = "127.0.0.1"
    port: int
    kafka: str = "127.0.0.1:9092"
    """Bootstrap servers, separated by commas."""
    kafka_user: str | None = None
    kafka_password: SecretStr | None = None
    """Shown and checked at the start; the clients take them from `KafkaLogin`."""

    @model_validator(mode="after")
    def _login(self) -> Self:
        if (self.kafka_user is None) != (self.kafka_password is None):
            raise ValueError(TOGETHER)
        return self

    def described(self) -> str:
        """One line of `name=value`; a secret shows as stars."""
        return " ".join(f"{name}={value}" for name, value in sorted(self))


class ReaderSettings(ServiceSettings):
    """A service that waits at records of a later version."""

    put_aside: str = ""
    """Records that it does not wait at, as `<topic>:<partition>:<offset>`, separated by commas."""

    @field_validator("put_aside")
    @classmethod
    def _places(cls, value: str) -> str:
        for number, each in enumerate(_listed(value), 1):
            if not _PLACE.fullmatch(each):
                raise ValueError(f"entry {number} is not `<topic>:<partition>:<offset>`, such as {_EXAMPLE}")
        return value

    @property
    def places(self) -> frozenset[str]:
        """These records, one by one."""
        return frozenset(_listed(self.put_aside))


class PublicSettings(ServiceSettings):
    """A service whose `port` strangers may reach."""

    internal_port: int
    """Where `/readyz` and `/metrics` are served: not for strangers."""
    trusted_proxies: str = ""
    """Addresses and networks, separated by commas, whose X-Forwarded-For and X-Forwarded-Proto are believed."""

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, value: str) -> str:
        for each in _listed(value):
            ipaddress.ip_network(each)
        return value

    @property
    def proxies(self) -> list[str]:
        """The trusted proxies, one by one."""
        return _listed(self.trusted_proxies)


def _listed(value: str) -> list[str]:
    return [each.strip() for each in value.split(",") if each.strip()]


class MongoSettings(ServiceSettings):
    """A service that also works with MongoDB."""

    mongodb: SecretStr = SecretStr("mongodb://127.0.0.1:27017/?replicaSet=rapport")
    """The URI may carry a password, so it is a secret as a whole."""
    database: str = "rapport"


class DataSettings(ServiceSettings):
    """A service that keeps files of its own (scorer state, stream cursors) under `data`."""

    data: Path = Path("data")


class OutgoingSettings(ServiceSettings):
    """A service that calls addresses which clients chose."""

    allow_private: bool = Field(
        default=False, validation_alias=AliasChoices("RAPPORT_ALLOW_PRIVATE", "RAPPORT_WEBHOOK_ALLOW_PRIVATE")
    )
    """These addresses may be private and without TLS: for demonstrations and tests on one machine. The second name is
    the older one."""
