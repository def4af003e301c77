"""LinkedIn pages.

An access token lasts 60 days. The refresh token stays the same and ends a year after the consent, however often it is
used; so a lost answer costs nothing. LinkedIn gives refresh tokens to approved partners only: without one, somebody has
to consent every 60 days.

A page is subscribed for one application and one of its administrators, with the address of the webhook.

Source: https://learn.microsoft.com/en-us/linkedin/shared/authentication/programmatic-refresh-tokens,
https://learn.microsoft.com/en-us/linkedin/marketing/community-management/organizations/organization-access-control-by-role
and …/organizations/organization-social-action-notifications
"""

from urllib.parse import quote

from services.api.connecting.vendors.asking import VendorError, objects, text
from services.api.connecting.vendors.vendor import Choice, Connected, Grant, Permission, Pushed, Vendor, Visit

API_VERSION = "202611"
HEADERS = {"LinkedIn-Version": API_VERSION, "X-Restli-Protocol-Version": "2.0.0"}
MOST_PAGES = 30
"""Each page's name is asked for."""
PERSON = "urn:li:person:"
_SETTINGS = (
    "Give the API RAPPORT_LINKEDIN_APPLICATION and RAPPORT_INGEST_ADDRESS, restart it, and connect again: "
    "docs/platforms.md, LinkedIn."
)
_AGAIN = (
    "LinkedIn grants all or nothing: in LinkedIn's developer portal open the app's Products, and see that the "
    "Community Management API is approved; then connect again."
)


class Linkedin(Vendor):
    """LinkedIn pages."""

    id = "linkedin"
    platform = "linkedin"
    title = "LinkedIn page"
    login = "LinkedIn"
    app = "linkedin"
    authorize_at = "https://www.linkedin.com/oauth/v2/authorization"
    token_at = "https://www.linkedin.com/oauth/v2/accessToken"  # noqa: S105 - an address
    renewable = True
    revoked_at = "LinkedIn, Settings, Data privacy, Permitted services"
    subscribes = True
    unsubscribes = True
    made_for = "member"
    meanwhile = "Until then it is asked every 15 minutes, so comments come minutes late."
    subscribe_remedy = (
        "See in LinkedIn's developer portal, at the app's Webhooks, that the address is registered and valid, and that "
        "this person is an administrator of the page. Then connect again."
    )
    permissions = (
        Permission("rw_organization_admin", "list the pages that you administer, and be told of comments", _AGAIN),
        Permission("r_organization_social_feed", "read comments on the page's posts", _AGAIN),
        Permission("r_organization_social", "see the page's own posts", _AGAIN, needed=False),
        Permission("w_organization_social_feed", "answer comments from Rapport", _AGAIN, needed=False),
    )

    async def choices(self, visit: Visit, grant: Grant, /) -> list[Choice]:
        """The pages that the person administers."""
        query = {"q": "roleAssignee", "role": "ADMINISTRATOR", "state": "APPROVED", "count": str(MOST_PAGES)}
        at = self.at("https://api.linkedin.com/rest/organizationAcls")
        found = await visit.asking.get(at, query, token=grant.token, headers=HEADERS)
        made = []
        for each in objects(found, "elements")[:MOST_PAGES]:
            urn = text(each, "organization") or text(each, "organizationalTarget")
            number = urn.rpartition(":")[2]
            if not number.isascii() or not number.isdigit():
                continue
            name, handle = await self._names(visit, grant, number)
            member = text(each, "roleAssignee")
            connection = {"organization": urn} | ({"member": member} if member.startswith(PERSON) else {})
            made.append(Choice(urn, name or urn, handle or name or urn, connection, grant))
        return made

    async def subscribe(self, visit: Visit, connected: Connected, /) -> Pushed:
        """See Vendor."""
        if not visit.app.webhook:
            raise VendorError("LinkedIn has to be told where to send it", remedy=_SETTINGS)
        at, content = self._subscription(visit, connected), {"webhook": visit.app.webhook}
        await visit.asking.change("PUT", at, content=content, token=connected.token, headers=HEADERS)
        return Pushed(("comments", "mentions", "likes", "shares"))

    async def unsubscribe(self, visit: Visit, connected: Connected, /) -> None:
        """See Vendor."""
        at = self._subscription(visit, connected)
        await visit.asking.change("DELETE", at, token=connected.token, headers=HEADERS)

    def _subscription(self, visit: Visit, connected: Connected) -> str:
        """The address of a page's subscription. Raises VendorError."""
        if not visit.app.number:
            raise VendorError("LinkedIn has to be told the application's number", remedy=_SETTINGS)
        member = connected.connection.get("member", "")
        if not member:
            raise VendorError("LinkedIn does not say who administers the page")
        key = ",".join(
            f"{name}:{quote(urn, safe='')}"
            for name, urn in (
                ("developerApplication", f"urn:li:developerApplication:{visit.app.number}"),
                ("user", member),
                ("entity", connected.connection["organization"]),
            )
        )
        return self.at(
            f"https://api.linkedin.com/rest/eventSubscriptions/({key},eventType:ORGANIZATION_SOCIAL_ACTION_NOTIFICATIONS)"
        )

    async def _names(self, visit: Visit, grant: Grant, number: str) -> tuple[str, str]:
        """A page's name and short name. Without them it is shown by its number."""
        at = self.at(f"https://api.linkedin.com/rest/organizations/{quote(number)}")
        try:
            found = await visit.asking.get(at, token=grant.token, headers=HEADERS)
        except VendorError:
            return "", ""
        return text(found, "localizedName"), text(found, "vanityName")
