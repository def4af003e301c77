"""Settings of the two processes of the read side."""

from pydantic import SecretStr

from rapport.kit.config import MongoSettings, PublicSettings, ReaderSettings


class ProjectorSettings(MongoSettings, ReaderSettings):
    """The projector's, from `RAPPORT_…`."""

    port: int = 8004


class ApiSettings(PublicSettings, MongoSettings):
    """The API's and the portal's, from `RAPPORT_…`."""

    port: int = 8000
    internal_port: int = 8010
    admin_key: SecretStr | None = None
    """A key (`rp_<env>_<id>_<secret>`) that may do everything; the first one, with which others are made."""
    environment: str = "live"
    """What keys made here carry as `<env>`, so that a test key is not mistaken for a live one."""
    session_secret: SecretStr | None = None
    """Signs the forms of surveys; the same for all processes of an installation. Derived from `admin_key` if unset."""
