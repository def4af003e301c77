"""Settings of a service: one typed object, read from the environment and logged at start without its secrets."""

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, AliasChoices, Field, SecretStr, field_validator

from rapport.kit.broker.kafka_login import KafkaLogin
from rapport.kit.sealing import Sealer
from rapport.partitions import DEFAULT, Partitions

_EXAMPLE = "rapport.conversations.v1:3:88110"
_NUMBER = "(0|[1-9][0-9]{0,18})"
_CARRIED = re.compile(r"[\x21-\x7e]*")
_BLANK = re.compile(r"[\x00-\x20\x7f]")
_PLACE = re.compile(rf"[A-Za-z0-9._-]+:{_NUMBER}:{_NUMBER}")
"""A record as `dead_letters.place_of` writes it; any other spelling would never match."""


class ServiceSettings(KafkaLogin):
    """The settings that every service has, from `RAPPORT_<NAME>`. A wrong value stops the start and is named."""

    host: str = "127.0.0.1"
    port: int
    kafka: str = "127.0.0.1:9092"
    """Bootstrap servers, separated by commas."""

    log: Literal["json", "text"] | None = None
    """How log lines look, which is read before the settings are; by default text at a terminal, else JSON."""
    partitions: Partitions = DEFAULT
    """Logged and checked at start; `Topic.partitions` has it."""

    def described(self) -> str:
        """One line of `name=value`, with secrets as stars."""
        return " ".join(f"{name}={value}" for name, value in sorted(self))


class ReaderSettings(ServiceSettings):
    """A service that stops at records of a later version."""

    put_aside: str = ""
    """Records that it skips instead, as `<topic>:<partition>:<offset>`, separated by commas."""

    @field_validator("put_aside")
    @classmethod
    def _places(cls, value: str) -> str:
        for number, each in enumerate(listed(value), 1):
            if not _PLACE.fullmatch(each):
                raise ValueError(f"entry {number} is not `<topic>:<partition>:<offset>`, such as {_EXAMPLE}")
        return value

    @property
    def places(self) -> frozenset[str]:
        """These records, one by one."""
        return frozenset(listed(self.put_aside))


class PublicSettings(ServiceSettings):
    """A service whose `port` anybody can reach."""

    internal_port: int
    """The port of `/readyz` and `/metrics`, not open to the public."""
    trusted_proxies: str = ""
    """Addresses and networks, separated by commas, whose X-Forwarded-For and X-Forwarded-Proto are trusted."""

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, value: str) -> str:
        for each in listed(value):
            ipaddress.ip_network(each)
        return value

    @property
    def proxies(self) -> list[str]:
        """The trusted proxies, one by one."""
        return listed(self.trusted_proxies)


def listed(value: str) -> list[str]:
    """What a setting lists, separated by commas."""
    return [each.strip() for each in value.split(",") if each.strip()]


def _carried(secret: SecretStr) -> SecretStr:
    # A file of a secret ends with a line break, mostly.
    value = secret.get_secret_value().strip()
    if not _CARRIED.fullmatch(value):
        raise ValueError("it has blanks or characters that no header can carry")
    return SecretStr(value)


HeaderSecret = Annotated[SecretStr, AfterValidator(_carried)]
"""A secret that is shown to others in a header; without the blanks around it."""


def web_address(value: str) -> SplitResult | None:
    """The parts of an address of the web; None where it is none, because nobody could call it."""
    try:
        parts = urlsplit(value)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and not _BLANK.search(value)
    except ValueError:
        return None
    return parts if usable else None


class MongoSettings(ServiceSettings):
    """A service that also works with MongoDB."""

    mongodb: SecretStr = SecretStr("mongodb://127.0.0.1:27017/?replicaSet=rapport")
    """The URI may contain a password, so all of it is a secret."""
    database: str = "rapport"


class DataSettings(ServiceSettings):
    """A service that keeps files of its own (scorer state, stream cursors) under `data`."""

    data: Path = Path("data")


class TracedSettings(ServiceSettings):
    """A service that takes part in the trace of an interaction."""

    traces: str = ""
    """The collector that traces are sent to, such as `http://collector:4318`; without it, there are none."""
    traces_share: float = Field(default=1.0, gt=0, le=1, allow_inf_nan=False)
    """The share of interactions that are traced. Services with the same share trace the same ones."""

    @field_validator("traces")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        if not value:
            return value
        parts = web_address(value)
        if parts is None:
            raise ValueError("it is not an address such as http://collector:4318")
        if parts.username is not None or parts.query or parts.fragment:
            raise ValueError(
                "it has more than scheme, host, port and path; logins belong into OTEL_EXPORTER_OTLP_HEADERS"
            )
        return value


class OutgoingSettings(ServiceSettings):
    """A service that calls addresses chosen by clients."""

    allow_private: bool = Field(
        default=False, validation_alias=AliasChoices("RAPPORT_ALLOW_PRIVATE", "RAPPORT_WEBHOOK_ALLOW_PRIVATE")
    )
    """These addresses may be private and without TLS: for demonstrations and tests on one machine. The second name is
    the older one."""


class SealingSettings(ServiceSettings):
    """A service that seals or opens secrets."""

    sealing_keys: Path | None = None
    """The file with the keys; without it, secrets are stored as they are."""

    @field_validator("sealing_keys", mode="before")
    @classmethod
    def _given(cls, file: object) -> object:
        return file or None

    @field_validator("sealing_keys")
    @classmethod
    def _usable(cls, file: Path | None) -> Path | None:
        try:
            Sealer.of(file)
        except OSError as error:
            raise ValueError(f"{file}: {error.strerror or error}") from None
        except ValueError as error:
            raise ValueError(f"{file}: {error}") from None
        return file

    @property
    def sealer(self) -> Sealer:
        """What seals and opens."""
        return Sealer.of(self.sealing_keys)
