"""YouTube channels, with a Google account.

An access token lasts an hour. The refresh token stays the same, and valid, so a lost answer costs nothing. It ends if
it was not used for six months, if the owner takes it back, and after seven days while the app is in "Testing".

Source: https://developers.google.com/youtube/v3/guides/auth/server-side-web-apps and
https://developers.google.com/identity/protocols/oauth2
"""

from typing import ClassVar

from services.api.connecting.vendors.asking import inside, objects, text
from services.api.connecting.vendors.vendor import MOST_CHOICES, Choice, Grant, Permission, Vendor, Visit

_AGAIN = "Connect again, and tick this one in Google's window."


class Youtube(Vendor):
    """YouTube channels."""

    id = "youtube"
    platform = "youtube"
    title = "YouTube channel"
    login = "Google"
    app = "youtube"
    authorize_at = "https://accounts.google.com/o/oauth2/v2/auth"
    token_at = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address
    pkce = True
    # Google gives a refresh token only where it asks for consent.
    more: ClassVar = {"access_type": "offline", "prompt": "consent"}
    renewable = True
    revoked_at = "myaccount.google.com/connections"
    permissions = (
        Permission("https://www.googleapis.com/auth/youtube.readonly", "see which channel this is", _AGAIN),
        Permission(
            "https://www.googleapis.com/auth/youtube.force-ssl", "answer comments from Rapport", _AGAIN, needed=False
        ),
    )

    async def choices(self, visit: Visit, grant: Grant, /) -> list[Choice]:
        """The channel that was chosen in Google's window."""
        query = {"part": "snippet", "mine": "true", "maxResults": "50"}
        found = await visit.asking.get(
            self.at("https://www.googleapis.com/youtube/v3/channels"), query, token=grant.token
        )
        made = []
        for each in objects(found, "items")[:MOST_CHOICES]:
            channel, its = text(each, "id"), inside(each, "snippet")
            if channel:
                name = text(its, "title") or channel
                made.append(Choice(channel, name, text(its, "customUrl") or name, {"channel": channel}, grant))
        return made
