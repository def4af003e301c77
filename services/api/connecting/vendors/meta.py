"""Facebook Pages, and Instagram accounts that belong to one: both log in with Facebook.

A page's token, from a person's long-lived one, does not end. What ends after 90 days is the app's access to what the
person sees ("data access"); only they can extend it.

A page's news are sent to the applications that are subscribed to it, field by field. A request to subscribe replaces
all fields of the application, and is refused as a whole for one field that is wrong or not allowed. So what is there is
read first, and kept. News of an Instagram account are sent if its page is subscribed to any field.

Source: https://developers.facebook.com/docs/facebook-login/guides/advanced/manual-flow,
…/docs/facebook-login/guides/access-tokens/get-long-lived, …/docs/graph-api/reference/debug_token,
…/docs/graph-api/reference/page/subscribed_apps and
…/docs/graph-api/webhooks/getting-started/webhooks-for-instagram; for `ads_read`,
…/docs/instagram-platform/instagram-graph-api/reference/ig-comment
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar
from urllib.parse import quote

from authlib.oauth2.rfc6749.parameters import prepare_token_request

from services.api.connecting.vendors.asking import VendorError, inside, objects, text
from services.api.connecting.vendors.vendor import (
    MOST_CHOICES,
    Choice,
    Code,
    Connected,
    Grant,
    Permission,
    Pushed,
    Vendor,
    Visit,
    granted,
    scopes_in,
    token_of,
)

VERSION = "v25.0"
GRAPH = f"https://graph.facebook.com/{VERSION}"
PAGE, MOST_PAGES = 100, 10
"""Items at once, and pages of a list."""
MOST_APPS = 1_000
"""Applications that are subscribed to a page, of which one is ours."""
PAGE_FIELDS = frozenset({"feed", "mention"})
MESSAGE_FIELDS = frozenset({"messages", "message_echoes", "messaging_postbacks"})
QUIET_FIELDS = frozenset({"name"})
"""For the news of an Instagram account. Of its page this tells only that it was renamed, and nobody connected the
page."""
OUR_FIELDS = PAGE_FIELDS | MESSAGE_FIELDS | QUIET_FIELDS
_AGAIN = "Connect again, choose “Edit settings” in Facebook's window, and leave this one switched on."
_ROLE = (
    "On Facebook open the page's Settings, Page setup, Page access, and give this person the task {task}; "
    "then connect again."
)
LIST_PAGES = Permission("pages_show_list", "list the pages that you manage", _AGAIN)
READ_ENGAGEMENT = Permission("pages_read_engagement", "read the page's posts and its name", _AGAIN)
METADATA = Permission("pages_manage_metadata", "be told of what happens on the page as it happens", _AGAIN)


class _FacebookLogin(Vendor):
    """What both have in common."""

    login = "Facebook"
    app = "facebook"
    authorize_at = f"https://www.facebook.com/{VERSION}/dialog/oauth"
    token_at = f"{GRAPH}/oauth/access_token"
    separator = ","
    asked_again: ClassVar = {"auth_type": "rerequest"}
    revoked_at = "Facebook, Settings, Business integrations"
    subscribes = True
    unsubscribes = True
    meanwhile = "Until then it is asked every ten minutes, so comments come minutes late."
    subscribe_remedy = (
        "On Facebook open the page's Settings, Page setup, Page access, and see that this person has full control or "
        "the task MODERATE. Then connect again, and leave pages_manage_metadata switched on in Facebook's window."
    )
    fields: ClassVar[str]

    async def exchange(self, visit: Visit, code: Code, /) -> Grant:
        """The person's long-lived token: those of their pages do not end then."""
        short = await super().exchange(visit, code)
        fields = prepare_token_request("fb_exchange_token", fb_exchange_token=short.token)
        return granted(await self._token(visit, fields, secrets=(short.token,)), visit.now)

    async def granted_scopes(self, visit: Visit, grant: Grant, /) -> frozenset[str]:
        """Facebook lists every permission with `granted` or `declined`."""
        found = await visit.asking.get(self.at(f"{GRAPH}/me/permissions"), {"limit": "200"}, token=grant.token)
        return frozenset(
            text(each, "permission") for each in objects(found, "data") if text(each, "status") == "granted"
        )

    async def choices(self, visit: Visit, grant: Grant, /) -> list[Choice]:
        """The pages that the person manages, each with a token of its own."""
        at, query = self.at(f"{GRAPH}/me/accounts"), {"fields": self.fields}
        pages = await self._listed(visit, at, query, grant.token, MOST_CHOICES)
        ends = await self._ends(visit, grant)
        made = (self._choice(each, ends) for each in pages)
        return [each for each in made if each is not None]

    async def _ends(self, visit: Visit, grant: Grant) -> datetime | None:
        """When the app's access to what the person sees ends."""
        app, query = visit.app, {"input_token": grant.token}
        secrets = [grant.token, app.secret]
        found = await visit.asking.get(
            self.at(f"{GRAPH}/debug_token"), query, token=f"{app.id}|{app.secret}", secrets=secrets
        )
        at = inside(found, "data").get("data_access_expires_at")
        if isinstance(at, bool) or not isinstance(at, int) or not 0 < at < 253_000_000_000:
            return None
        return datetime.fromtimestamp(at, UTC)

    async def subscribe(self, visit: Visit, connected: Connected, /) -> Pushed:
        """See Vendor."""
        wanted, what = self._wanted(connected.scopes)
        there = await self._subscribed(visit, connected)
        if not wanted <= there:
            await self._replace(visit, connected, there | wanted)
        return Pushed(what)

    async def unsubscribe(self, visit: Visit, connected: Connected, /) -> None:
        """See Vendor. Fields that something else than Rapport has asked for stay."""
        there = await self._subscribed(visit, connected)
        if others := there - OUR_FIELDS:
            await self._replace(visit, connected, others)
        elif there:
            done(await visit.asking.change("DELETE", self._apps(connected), token=connected.token), self.login)

    async def lessen(self, visit: Visit, connected: Connected, /) -> None:
        """See Vendor. For an Instagram account of the page any field will do."""
        there = await self._subscribed(visit, connected)
        kept = (there - OUR_FIELDS) | QUIET_FIELDS
        if there and there != kept:
            await self._replace(visit, connected, kept)

    async def _subscribed(self, visit: Visit, connected: Connected) -> frozenset[str]:
        """The fields to which the application is subscribed. Many others may be, too."""
        query, apps = {"fields": "id,subscribed_fields"}, self._apps(connected)
        found = await self._listed(visit, apps, query, connected.token, MOST_APPS)
        ours = (each for each in found if text(each, "id") == visit.app.id)
        return frozenset(name for each in ours for name in scopes_in(each.get("subscribed_fields")) or ())

    async def _listed(
        self, visit: Visit, address: str, query: Mapping[str, str], token: str, most: int
    ) -> list[dict[str, Any]]:
        """The first `most` items of a list. Raises VendorError."""
        items: list[dict[str, Any]] = []
        asked = {**query, "limit": str(PAGE)}
        for _ in range(MOST_PAGES):
            found = await visit.asking.get(address, asked, token=token)
            items += objects(found, "data")
            paging = inside(found, "paging")
            cursor = text(inside(paging, "cursors"), "after", 2_048)
            if not cursor or cursor == asked.get("after") or not text(paging, "next", 8_192) or len(items) >= most:
                break
            asked["after"] = cursor
        return items[:most]

    async def _replace(self, visit: Visit, connected: Connected, fields: frozenset[str]) -> None:
        query = {"subscribed_fields": ",".join(sorted(fields))}
        done(await visit.asking.change("POST", self._apps(connected), query, token=connected.token), self.login)

    def _apps(self, connected: Connected) -> str:
        return self.at(f"{GRAPH}/{quote(connected.connection.get('page', 'me'), safe='')}/subscribed_apps")

    def _wanted(self, scopes: frozenset[str]) -> tuple[frozenset[str], tuple[str, ...]]:
        """The fields to subscribe to, as far as they are allowed, and what they tell, in words."""
        raise NotImplementedError

    def _choice(self, page: dict[str, Any], ends: datetime | None) -> Choice | None:
        raise NotImplementedError

    def _granted(self, page: dict[str, Any], ends: datetime | None) -> Grant | None:
        try:
            return Grant(token=token_of(page), consent_ends_at=ends)
        except VendorError:
            return None


def done(found: Any, login: str) -> None:
    """Raises VendorError where Meta does not say that it has done something."""
    if found.get("success") not in (True, "true"):
        raise VendorError(f"{login} did not say that it has done it", again=True)


def _lacks(page: dict[str, Any], task: str) -> str:
    tasks = scopes_in(page.get("tasks"))
    return "" if tasks is None or task in tasks or "MANAGE" in tasks else _ROLE.format(task=task)


class Facebook(_FacebookLogin):
    """Facebook Pages."""

    id = "facebook"
    platform = "facebook"
    title = "Facebook Page"
    fields = "id,name,username,access_token,tasks"
    permissions = (
        LIST_PAGES,
        READ_ENGAGEMENT,
        Permission("pages_read_user_content", "read what people comment and post on the page", _AGAIN),
        METADATA,
        Permission("pages_manage_engagement", "answer comments from Rapport", _AGAIN, needed=False),
        Permission("pages_messaging", "read and answer messages to the page", _AGAIN, needed=False),
    )

    def _choice(self, page: dict[str, Any], ends: datetime | None) -> Choice | None:
        its, grant = text(page, "id"), self._granted(page, ends)
        if not its or grant is None:
            return None
        name = text(page, "name") or its
        return Choice(its, name, text(page, "username") or name, {"page": its}, grant, _lacks(page, "MODERATE"))

    def _wanted(self, scopes: frozenset[str]) -> tuple[frozenset[str], tuple[str, ...]]:
        if "pages_messaging" in scopes:
            return PAGE_FIELDS | MESSAGE_FIELDS, ("comments", "mentions", "messages")
        return PAGE_FIELDS, ("comments", "mentions")


class InstagramOfPage(_FacebookLogin):
    """Instagram accounts that belong to a Facebook Page."""

    id = "instagram-facebook"
    platform = "instagram"
    title = "Instagram account of a Facebook Page"
    fields = "id,name,access_token,tasks,instagram_business_account{id,username,name}"
    permissions = (
        LIST_PAGES,
        READ_ENGAGEMENT,
        Permission("instagram_basic", "see which Instagram account belongs to the page", _AGAIN),
        Permission("instagram_manage_comments", "read comments and mentions, and answer them", _AGAIN),
        METADATA,
        Permission("instagram_manage_messages", "read and answer messages", _AGAIN, needed=False),
        # Meta does not say how a person came to manage a page, so everybody is asked for it.
        Permission(
            "ads_read",
            "read and answer comments if you manage the page through a business portfolio",
            _AGAIN,
            needed=False,
        ),
    )

    def _choice(self, page: dict[str, Any], ends: datetime | None) -> Choice | None:
        its = inside(page, "instagram_business_account")
        user, grant = text(its, "id"), self._granted(page, ends)
        if not user or grant is None:
            return None
        handle = text(its, "username") or user
        connection = {"user": user, "login": "facebook"} | ({"page": text(page, "id")} if text(page, "id") else {})
        return Choice(user, text(its, "name") or handle, handle, connection, grant, _lacks(page, "MODERATE"))

    def _wanted(self, scopes: frozenset[str]) -> tuple[frozenset[str], tuple[str, ...]]:
        messages = ("messages",) if "instagram_manage_messages" in scopes else ()
        return QUIET_FIELDS, ("comments", "mentions", *messages)
