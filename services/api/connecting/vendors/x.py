"""X accounts.

An access token lasts two hours. A refresh token is valid once, for six months: using it again ends all tokens of the
consent, so a lost answer costs the account.

Source: https://docs.x.com/fundamentals/authentication/oauth-2-0/authorization-code
"""

from dataclasses import replace
from datetime import timedelta

from services.api.connecting.vendors.asking import VendorError, inside, text
from services.api.connecting.vendors.vendor import Choice, Code, Grant, Held, Permission, Vendor, Visit

_AGAIN = (
    "X grants all or nothing: in X's developer console open the app's User authentication settings and see that the "
    "app may read and write, and direct messages too; then connect again."
)
REFRESH_LASTS = timedelta(days=182)


class X(Vendor):
    """X accounts."""

    id = "x"
    platform = "x"
    title = "X account"
    login = "X"
    app = "x"
    authorize_at = "https://x.com/i/oauth2/authorize"
    token_at = "https://api.x.com/2/oauth2/token"  # noqa: S105 - an address
    pkce = True
    basic = True
    renewable = True
    rotates = True
    revoked_at = "X, Settings, Security and account access, Apps and sessions, Connected apps"
    permissions = (
        Permission("tweet.read", "be told of replies, mentions, quotes and reposts", _AGAIN),
        Permission("users.read", "see which account this is", _AGAIN),
        Permission("offline.access", "stay connected for longer than two hours", _AGAIN),
        Permission("tweet.write", "answer from Rapport", _AGAIN, needed=False),
        Permission("dm.read", "read direct messages", _AGAIN, needed=False),
        Permission("dm.write", "answer direct messages", _AGAIN, needed=False),
    )

    async def exchange(self, visit: Visit, code: Code, /) -> Grant:
        """X does not say when a refresh token ends."""
        return self._ending(visit, await super().exchange(visit, code))

    async def renew(self, visit: Visit, held: Held, /) -> Grant:
        """A new token, and a refresh token that is valid for another six months."""
        return self._ending(visit, await super().renew(visit, held))

    def _ending(self, visit: Visit, grant: Grant) -> Grant:
        ends = (visit.now + REFRESH_LASTS).replace(microsecond=0)
        return replace(grant, consent_ends_at=ends) if grant.refresh_token else grant

    async def choices(self, visit: Visit, grant: Grant, /) -> list[Choice]:
        """The account that consented."""
        found = inside(await visit.asking.get(self.at("https://api.x.com/2/users/me"), token=grant.token), "data")
        user = text(found, "id")
        if not user:
            raise VendorError("X does not say which account this is")
        handle = text(found, "username") or user
        return [Choice(user, text(found, "name") or handle, handle, {"user": user}, grant)]
