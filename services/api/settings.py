"""Settings of the API and of the projector."""

from decimal import Decimal

from pydantic import Field, SecretStr, ValidationInfo, field_validator

from rapport.domain.charges import Prices, prices_of
from rapport.kit.config import (
    HeaderSecret,
    MongoSettings,
    OutgoingSettings,
    PublicSettings,
    ReaderSettings,
    SealingSettings,
    ServiceSettings,
    TracedSettings,
    web_address,
)
from services.api.charges.service import Pricing

_NONE = SecretStr("")


class ProjectorSettings(MongoSettings, ReaderSettings, TracedSettings):
    """The projector's, from `RAPPORT_…`."""

    port: int = 8004


class ConnectingSettings(OutgoingSettings):
    """Of connecting accounts: the portal's address, and the agency's application at each vendor.

    Without an application's id and secret, nobody can connect accounts there. `<platform>_api` stands in for the
    vendor's addresses, in tests.
    """

    portal: str = "http://127.0.0.1:8000"
    """The portal's address, which vendors send people back to."""
    facebook_client_id: str = ""
    facebook_client_secret: SecretStr = _NONE
    facebook_api: str = ""
    instagram_client_id: str = ""
    instagram_client_secret: SecretStr = _NONE
    instagram_api: str = ""
    threads_client_id: str = ""
    threads_client_secret: SecretStr = _NONE
    threads_api: str = ""
    youtube_client_id: str = ""
    youtube_client_secret: SecretStr = _NONE
    youtube_api: str = ""
    linkedin_client_id: str = ""
    linkedin_client_secret: SecretStr = _NONE
    linkedin_api: str = ""
    tiktok_client_id: str = ""
    tiktok_client_secret: SecretStr = _NONE
    tiktok_api: str = ""
    x_client_id: str = ""
    x_client_secret: SecretStr = _NONE
    x_api: str = ""
    x_bearer: HeaderSecret = _NONE
    """X's token of the application: accounts that are connected are subscribed with it to the application's webhook."""
    linkedin_application: str = Field(default="", pattern=r"^[0-9]{0,20}$")
    """The application's number at LinkedIn, to subscribe pages that are connected to its webhook."""
    ingest_address: str = ""
    """Ingest's public address, which LinkedIn is told to send to."""

    @field_validator("portal", "ingest_address")
    @classmethod
    def _is_an_address(cls, value: str, its: ValidationInfo) -> str:
        if not value and its.field_name == "ingest_address":
            return value
        parts = web_address(value)
        more = parts is None or parts.path not in ("", "/") or parts.query or parts.fragment
        if parts is None or more or parts.username is not None:
            raise ValueError("it is not an address such as https://rapport.example")
        return value.rstrip("/")


class ChargingSettings(ServiceSettings):
    """What X costs, and what it may."""

    x_monthly_budget: Decimal = Field(default=Decimal(0), ge=0, le=10_000_000, allow_inf_nan=False)
    """Dollars a month. `RapportChargesHigh` alerts at 80 % of it; nothing is stopped. 0: no limit."""
    x_prices: str = ""
    """Prices other than those of `rapport.domain.charges`, in dollars: `like.create=0.001,block.*=0.001`."""

    @field_validator("x_prices")
    @classmethod
    def _are_prices(cls, value: str) -> str:
        prices_of(value)
        return value

    @property
    def pricing(self) -> Pricing:
        """Both."""
        return Pricing(Prices.x(prices_of(self.x_prices)), self.x_monthly_budget or None)


class ApiSettings(PublicSettings, MongoSettings, SealingSettings, ConnectingSettings, ChargingSettings):
    """The API's and the portal's, from `RAPPORT_…`."""

    port: int = 8000
    internal_port: int = 8010
    admin_key: SecretStr | None = None
    """A key (`rp_<env>_<id>_<secret>`) that may do everything. Use it to make the others."""
    environment: str = "live"
    """The `<env>` of keys made here, so that nobody takes a test key for a live one."""
    session_secret: SecretStr | None = None
    """Signs the forms of surveys; the same for all processes of an installation. `admin_key` does it if unset."""
