"""X accounts.

An access token lasts two hours. A refresh token is valid once, for six months: using it again ends all tokens of the
consent, so a lost answer costs the account.

Each event of an account is subscribed to by itself, with the account's own token, which has to have the scope for that
event. Which webhook there is, and what is subscribed to, X tells the application alone, by its bearer token.

Source: https://docs.x.com/fundamentals/authentication/oauth-2-0/authorization-code,
https://docs.x.com/x-api/activity/introduction, …/activity/quickstart and https://docs.x.com/x-api/webhooks/introduction
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import quote

from services.api.connecting.vendors.asking import VendorError, inside, objects, text
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
)

_AGAIN = (
    "X grants all or nothing: in X's developer console open the app's User authentication settings and see that the "
    "app may read and write, and direct messages too; then connect again."
)
_LATER = "An account that was connected before Rapport asked for this does not have it yet: connect again."
REFRESH_LASTS = timedelta(days=182)
API = "https://api.x.com/2"
HOOK = "/v1/platforms/x"
"""How the address of our webhook ends."""
EVENTS: Mapping[str, Mapping[str, str]] = {
    "tweet.read": {
        "post.create": "",
        "post.delete": "",
        "post.reply.create": "replies",
        "post.mention.create": "mentions",
        "post.quote.create": "quotes",
        "post.repost.create": "reposts",
        "follow.follow": "follows",
        "follow.unfollow": "follows",
    },
    "like.read": {"like.create": "likes"},
    "block.read": {"block.block": "", "block.unblock": ""},
    "dm.read": {"dm.received": "messages", "dm.sent": "", "chat.received": "", "chat.sent": ""},
}
"""What is subscribed to, by the scope that X wants for it: in X's names, and in words where people ask for it. The
account's posts are its answers."""
PAGE, MOST_PAGES = "1000", 60
"""Subscriptions of the application: X allows 1,500 to most."""
_BEARER = (
    "Give the API the application's bearer token as RAPPORT_X_BEARER, restart it, and connect again: "
    "docs/platforms.md, X."
)


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
    subscribes = True
    unsubscribes = True
    meanwhile = "Until then nothing of it is received."
    subscribe_remedy = (
        "See in X's console that the app's package has the X Activity API, and credit. Then connect again."
    )
    permissions = (
        Permission("tweet.read", "be told of replies, mentions, quotes and reposts", _AGAIN),
        Permission("users.read", "see which account this is", _AGAIN),
        Permission("offline.access", "stay connected for longer than two hours", _AGAIN),
        Permission("like.read", "be told of likes", _LATER, needed=False),
        Permission("block.read", "be told whom the account blocks", _LATER, needed=False),
        Permission("dm.read", "read direct messages", _AGAIN, needed=False),
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

    async def subscribe(self, visit: Visit, connected: Connected, /) -> Pushed:
        """See Vendor. An event that X refuses leaves the others as they are."""
        webhook, user = await self._webhook(visit), connected.connection["user"]
        events = {
            event: words for scope, its in EVENTS.items() if scope in connected.scopes for event, words in its.items()
        }
        there = await self._made(visit, user, webhook)
        refused: dict[str, VendorError] = {}
        for event in events:
            if event in there.values():
                continue
            content = {"event_type": event, "filter": {"user_id": user}, "webhook_id": webhook}
            try:
                await visit.asking.change(
                    "POST", self.at(f"{API}/activity/subscriptions"), content=content, token=connected.token
                )
            except VendorError as error:
                if error.again:
                    raise
                refused[event] = error
        if refused:
            # Whoever pressed twice, or another process, may have subscribed it meanwhile.
            there = await self._made(visit, user, webhook)
            refused = {event: error for event, error in refused.items() if event not in there.values()}
        if len(refused) == len(events):
            raise next(iter(refused.values()))
        why = f"X refuses {', '.join(refused)}: {next(iter(refused.values()))}" if refused else ""
        what = (words for event, words in events.items() if words and event not in refused)
        return Pushed(tuple(dict.fromkeys(what)), why)

    async def unsubscribe(self, visit: Visit, connected: Connected, /) -> None:
        """See Vendor. X charges for each that is left, so one that X does not end leaves no other."""
        webhook, user = await self._webhook(visit), connected.connection["user"]
        failed: VendorError | None = None
        for its in await self._made(visit, user, webhook):
            at = self.at(f"{API}/activity/subscriptions/{quote(its, safe='')}")
            try:
                await visit.asking.change("DELETE", at, token=visit.app.bearer)
            except VendorError as error:
                failed = error
        # Another process may have ended them meanwhile.
        if failed is not None and await self._made(visit, user, webhook):
            raise failed

    async def _made(self, visit: Visit, user: str, webhook: str) -> dict[str, str]:
        """The events of which a webhook is sent an account's, by the ids of the subscriptions."""
        found = await self._subscriptions(visit, user)
        its = {text(each, "subscription_id"): each for each in found if text(each, "webhook_id") == webhook}
        return {name: text(each, "event_type") for name, each in its.items() if name}

    async def _webhook(self, visit: Visit) -> str:
        """The id of the newest of the application's webhooks that lead to Rapport. Raises VendorError."""
        if not visit.app.bearer:
            raise VendorError("X tells only the application where its webhook is", remedy=_BEARER)
        try:
            found = await visit.asking.get(self.at(f"{API}/webhooks"), token=visit.app.bearer)
        except VendorError as error:
            if error.again:
                raise
            raise VendorError(
                f"{error}, to RAPPORT_X_BEARER",
                remedy="Compare it with the application in X's console, and connect again.",
            ) from None
        ours = [
            each for each in objects(found, "data") if text(each, "id") and text(each, "url").rstrip("/").endswith(HOOK)
        ]
        newest = max(ours, key=lambda each: text(each, "created_at"), default=None)
        if newest is None:
            raise VendorError(
                "no webhook of the application leads to Rapport",
                remedy="Register it once, as docs/platforms.md, X, says, and connect again.",
            )
        return text(newest, "id")

    async def _subscriptions(self, visit: Visit, user: str) -> list[dict[str, Any]]:
        """What is subscribed to of an account."""
        its: list[dict[str, Any]] = []
        query = {"max_results": PAGE}
        for _ in range(MOST_PAGES):
            found = await visit.asking.get(self.at(f"{API}/activity/subscriptions"), query, token=visit.app.bearer)
            its += [each for each in objects(found, "data") if text(inside(each, "filter"), "user_id") == user]
            token = text(inside(found, "meta"), "next_token", 2_048)
            if not token or token == query.get("pagination_token"):
                break
            query["pagination_token"] = token
        return its
