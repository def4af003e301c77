"""All ways to log in."""

from services.api.connecting.vendors.google import Youtube
from services.api.connecting.vendors.instagram import Instagram, Threads
from services.api.connecting.vendors.linkedin import Linkedin
from services.api.connecting.vendors.mastodon import Mastodon
from services.api.connecting.vendors.meta import Facebook, InstagramOfPage
from services.api.connecting.vendors.tiktok import Tiktok
from services.api.connecting.vendors.vendor import App, Vendor
from services.api.connecting.vendors.x import X
from services.api.settings import ApiSettings

VENDORS: dict[str, type[Vendor]] = {
    each.id: each for each in (Facebook, Instagram, InstagramOfPage, Threads, Youtube, Linkedin, Tiktok, X, Mastodon)
}


class Table:
    """The ways to log in, as this installation is set up."""

    def __init__(self, settings: ApiSettings) -> None:
        self._settings = settings

    def vendor(self, id: str, service: str = "") -> Vendor:
        """One of them; `service` is the account's server, for Mastodon. Raises KeyError."""
        kind = VENDORS[id]
        return kind(getattr(self._settings, f"{kind.app}_api") if kind.app else service)

    def app(self, vendor: type[Vendor] | Vendor) -> App | None:
        """The agency's application; None where its settings are missing, and for Mastodon."""
        if not vendor.app:
            return None
        client = getattr(self._settings, f"{vendor.app}_client_id")
        secret = getattr(self._settings, f"{vendor.app}_client_secret").get_secret_value()
        if not client or not secret:
            return None
        its, ingest = self._settings, self._settings.ingest_address
        return App(
            client,
            secret,
            number=its.linkedin_application if vendor.app == "linkedin" else "",
            bearer=its.x_bearer.get_secret_value() if vendor.app == "x" else "",
            webhook=f"{ingest}/v1/platforms/{vendor.platform}" if ingest else "",
        )

    def usable(self, vendor: type[Vendor]) -> bool:
        """Whether accounts can be connected this way."""
        return not vendor.app or self.app(vendor) is not None
