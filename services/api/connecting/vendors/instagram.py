"""Instagram accounts that log in with Instagram, and Threads: both renew a token by showing it.

A long-lived token lasts 60 days and can be renewed once it is a day old. The one before stays valid, so a lost answer
costs nothing.

Source: https://developers.facebook.com/documentation/instagram-platform/instagram-api-with-instagram-login/business-login,
https://developers.facebook.com/documentation/threads/get-started/get-access-tokens-and-permissions,
https://developers.facebook.com/docs/threads/get-started/long-lived-tokens/ and
https://developers.facebook.com/documentation/instagram-platform/webhooks
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar
from urllib.parse import quote

from services.api.connecting.vendors.asking import VendorError, inside, objects, text
from services.api.connecting.vendors.meta import VERSION, done
from services.api.connecting.vendors.vendor import (
    Choice,
    Code,
    Connected,
    Grant,
    Held,
    Permission,
    Pushed,
    Vendor,
    Visit,
    granted,
    scopes_in,
)

_INSTAGRAM = "Connect again, and leave this one switched on in Instagram's window."
_THREADS = "Connect again, and leave this one switched on in Threads' window."


class _Exchanged(Vendor):
    """A short token is exchanged for a long one, and that one for the next."""

    separator = ","
    renewable = True
    by_refresh_token = False
    graph: ClassVar[str]
    prefix: ClassVar[str]
    me: ClassVar[str]
    fields: ClassVar[str]
    user: ClassVar[str]
    """The field of `me` with the id that webhooks use."""

    async def exchange(self, visit: Visit, code: Code, /) -> Grant:
        """The long-lived token."""
        short = await super().exchange(visit, replace(code, code=code.code.removesuffix("#_")))
        query = {
            "grant_type": f"{self.prefix}_exchange_token",
            "client_secret": visit.app.secret,
            "access_token": short.token,
        }
        secrets = [visit.app.secret, short.token]
        found = await visit.asking.get(self.at(f"{self.graph}/access_token"), query, secrets=secrets)
        return replace(granted(found, visit.now), scopes=short.scopes)

    async def choices(self, visit: Visit, grant: Grant, /) -> list[Choice]:
        """The account that consented."""
        found = await visit.asking.get(self.at(self.me), {"fields": self.fields}, token=grant.token)
        user = text(found, self.user)
        if not user:
            raise VendorError(f"{self.login} does not say which account this is")
        handle = text(found, "username") or user
        return [Choice(user, text(found, "name") or handle, handle, {"user": user}, grant)]

    async def renew(self, visit: Visit, held: Held, /) -> Grant:
        """The next token for this one."""
        query = {"grant_type": f"{self.prefix}_refresh_token", "access_token": held.token}
        at = self.at(f"{self.graph}/refresh_access_token")
        return granted(await visit.asking.get(at, query, secrets=[held.token]), visit.now)


class Instagram(_Exchanged):
    """Instagram professional accounts, with Instagram Login."""

    id = "instagram"
    platform = "instagram"
    title = "Instagram account"
    login = "Instagram"
    app = "instagram"
    authorize_at = "https://www.instagram.com/oauth/authorize"
    token_at = "https://api.instagram.com/oauth/access_token"  # noqa: S105 - an address
    graph = "https://graph.instagram.com"
    prefix = "ig"
    me = "https://graph.instagram.com/v25.0/me"
    fields = "user_id,username,name"
    user = "user_id"
    asked_again: ClassVar = {"force_reauth": "true"}
    revoked_at = "Instagram, Settings, Website permissions, Apps and websites"
    subscribes = True
    unsubscribes = True
    meanwhile = "Until then it is asked every ten minutes, so comments come minutes late."
    subscribe_remedy = (
        "Connect again, and leave every permission switched on in Instagram's window. The account has to be a "
        "professional one: in Instagram's app see Settings, Account type and tools."
    )
    permissions = (
        Permission("instagram_business_basic", "see which account this is, and its posts", _INSTAGRAM),
        Permission("instagram_business_manage_comments", "read comments and mentions, and answer them", _INSTAGRAM),
        Permission("instagram_business_manage_messages", "read and answer messages", _INSTAGRAM, needed=False),
    )

    async def _token(self, visit: Visit, fields: str, secrets: Sequence[str]) -> dict[str, Any]:
        """Instagram puts the answer into a list, or did; and calls scopes `permissions`."""
        found = await super()._token(visit, fields, secrets)
        found = next(iter(objects(found, "data")), found)
        return {**found, "scope": found.get("permissions", found.get("scope"))}

    async def subscribe(self, visit: Visit, connected: Connected, /) -> Pushed:
        """See Vendor. Which fields are sent is decided for the application: any one field subscribes the account."""
        fields, what = ["comments", "live_comments", "mentions"], ["comments", "mentions"]
        if "instagram_business_manage_messages" in connected.scopes:
            fields += ["messages", "messaging_postbacks"]
            what.append("messages")
        query = {"subscribed_fields": ",".join(fields)}
        done(await visit.asking.change("POST", self._apps(connected), query, token=connected.token), self.login)
        return Pushed(tuple(what))

    async def unsubscribe(self, visit: Visit, connected: Connected, /) -> None:
        """See Vendor. Instagram takes what Meta documents for pages."""
        done(await visit.asking.change("DELETE", self._apps(connected), token=connected.token), self.login)

    def _apps(self, connected: Connected) -> str:
        return self.at(f"{self.graph}/{VERSION}/{quote(connected.connection['user'], safe='')}/subscribed_apps")


class Threads(_Exchanged):
    """Threads profiles."""

    id = "threads"
    platform = "threads"
    title = "Threads profile"
    login = "Threads"
    app = "threads"
    authorize_at = "https://threads.com/oauth/authorize"
    token_at = "https://graph.threads.com/oauth/access_token"  # noqa: S105 - an address
    graph = "https://graph.threads.com"
    prefix = "th"
    me = "https://graph.threads.com/v1.0/me"
    fields = "id,username,name"
    user = "id"
    revoked_at = "Threads, Settings, Account, Website permissions"
    permissions = (
        Permission("threads_basic", "see which profile this is, and its posts", _THREADS),
        Permission("threads_read_replies", "read replies to the profile's posts", _THREADS),
        Permission("threads_manage_mentions", "read posts that mention the profile", _THREADS, needed=False),
        Permission("threads_manage_replies", "answer and hide replies", _THREADS, needed=False),
        Permission("threads_content_publish", "publish answers", _THREADS, needed=False),
    )

    async def granted_scopes(self, visit: Visit, grant: Grant, /) -> frozenset[str]:
        """Threads says it where it is asked about the token."""
        query = {"input_token": grant.token}
        at = self.at("https://graph.threads.com/v1.0/debug_token")
        found = await visit.asking.get(at, query, token=grant.token)
        return scopes_in(inside(found, "data").get("scopes")) or frozenset()
