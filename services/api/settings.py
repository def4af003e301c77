"""Settings of the API and of the projector."""

from pydantic import SecretStr

from rapport.kit.config import MongoSettings, PublicSettings, ReaderSettings, SealingSettings, TracedSettings


class ProjectorSettings(MongoSettings, ReaderSettings, TracedSettings):
    """The projector's, from `RAPPORT_…`."""

    port: int = 8004


class ApiSettings(PublicSettings, MongoSettings, SealingSettings):
    """The API's and the portal's, from `RAPPORT_…`."""

    port: int = 8000
    internal_port: int = 8010
    admin_key: SecretStr | None = None
    """A key (`rp_<env>_<id>_<secret>`) that may do everything. Use it to make the others."""
    environment: str = "live"
    """The `<env>` of keys made here, so that nobody takes a test key for a live one."""
    session_secret: SecretStr | None = None
    """Signs the forms of surveys; the same for all processes of an installation. `admin_key` does it if unset."""
