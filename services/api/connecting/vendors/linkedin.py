"""LinkedIn pages.

An access token lasts 60 days. The refresh token stays the same and ends a year after the consent, however often it is
used; so a lost answer costs nothing. LinkedIn gives refresh tokens to approved partners only: without one, somebody has
to consent every 60 days.

Source: https://learn.microsoft.com/en-us/linkedin/shared/authentication/programmatic-refresh-tokens and
https://learn.microsoft.com/en-us/linkedin/marketing/community-management/organizations/organization-access-control-by-role
"""

from urllib.parse import quote

from services.api.connecting.vendors.asking import VendorError, objects, text
from services.api.connecting.vendors.vendor import Choice, Grant, Permission, Vendor, Visit

API_VERSION = "202611"
HEADERS = {"LinkedIn-Version": API_VERSION, "X-Restli-Protocol-Version": "2.0.0"}
MOST_PAGES = 30
"""Each page's name is asked for."""
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
    permissions = (
        Permission("rw_organization_admin", "list the pages that you administer, and be told of comments", _AGAIN),
        Permission("r_organization_social_feed", "read comments on the page's posts", _AGAIN),
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
            made.append(Choice(urn, name or urn, handle or name or urn, {"organization": urn}, grant))
        return made

    async def _names(self, visit: Visit, grant: Grant, number: str) -> tuple[str, str]:
        """A page's name and short name. Without them it is shown by its number."""
        at = self.at(f"https://api.linkedin.com/rest/organizations/{quote(number)}")
        try:
            found = await visit.asking.get(at, token=grant.token, headers=HEADERS)
        except VendorError:
            return "", ""
        return text(found, "localizedName"), text(found, "vanityName")
