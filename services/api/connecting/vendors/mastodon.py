"""Mastodon and servers that speak its interface: an application is registered on each account's own server.

A token does not end, unless a server says otherwise.

Source: https://docs.joinmastodon.org/client/authorized/, …/methods/apps/ and …/methods/oauth/
"""

from urllib.parse import urlencode, urlsplit

from services.api.connecting.vendors.asking import Asking, VendorError, text
from services.api.connecting.vendors.vendor import App, Choice, Grant, Permission, Vendor, Visit

_AGAIN = "Connect again, and press Authorize in the server's window."
APP_NAME = "Rapport"


class Mastodon(Vendor):
    """Accounts on Mastodon and compatible servers. `base` is the server."""

    id = "mastodon"
    platform = "mastodon"
    title = "Mastodon account"
    login = "the account's server"
    app = ""
    authorize_at = "https://server.invalid/oauth/authorize"
    token_at = "https://server.invalid/oauth/token"  # noqa: S105 - an address
    pkce = True
    renewable = True
    rotates = True
    revoked_at = "the account's server, Preferences, Account, Authorized apps"
    permissions = (
        # Not `profile`: servers before version 4.3 do not know it.
        Permission("read:accounts", "see which account this is", _AGAIN),
        Permission("read:notifications", "read mentions, favourites, boosts and follows", _AGAIN),
        Permission("read:statuses", "read posts and replies", _AGAIN),
        Permission("write:statuses", "answer from Rapport", _AGAIN, needed=False),
        Permission("write:favourites", "like comments from Rapport", _AGAIN, needed=False),
    )

    async def register(self, asking: Asking, redirect: str, website: str) -> App:
        """An application of our own on the server. Raises VendorError."""
        fields = {
            "client_name": APP_NAME,
            "redirect_uris": redirect,
            "scopes": " ".join(each.scope for each in self.permissions),
            "website": website,
        }
        found = await asking.form(f"{self._base}/api/v1/apps", urlencode(fields))
        client, secret = text(found, "client_id"), text(found, "client_secret")
        if not client or not secret:
            raise VendorError("the server's answer has no application in it; is it a Mastodon server?")
        return App(client, secret)

    async def granted_scopes(self, _visit: Visit, grant: Grant, /) -> frozenset[str]:
        """A wider scope includes the narrower ones: `read` is all of reading."""
        given = grant.scopes or frozenset()
        return frozenset(
            each.scope for each in self.permissions if each.scope in given or each.scope.partition(":")[0] in given
        )

    async def choices(self, visit: Visit, grant: Grant, /) -> list[Choice]:
        """The account that consented."""
        found = await visit.asking.get(f"{self._base}/api/v1/accounts/verify_credentials", token=grant.token)
        user, acct = text(found, "id"), text(found, "acct")
        if not user or not acct:
            raise VendorError("the server does not say which account this is")
        host = urlsplit(self._base).netloc
        handle = f"@{acct}" if "@" in acct else f"@{acct}@{host}"
        connection = {"service": self._base, "user": user}
        return [Choice(user, text(found, "display_name") or handle, handle, connection, grant)]
