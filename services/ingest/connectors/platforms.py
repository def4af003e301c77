"""The platforms that ingest reads. A new one is named here and nowhere else outside its package."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rapport.kit.config import OutgoingSettings
from services.ingest.connectors import bluesky, facebook, instagram, linkedin, mastodon, threads, tiktok, x, youtube
from services.ingest.connectors.bluesky import speaker as bluesky_speaker
from services.ingest.connectors.bluesky.connector import Bluesky
from services.ingest.connectors.bluesky.settings import BlueskySettings
from services.ingest.connectors.capabilities import Capabilities
from services.ingest.connectors.connector import Accounts, Connector, Shared
from services.ingest.connectors.facebook import speaker as facebook_speaker
from services.ingest.connectors.facebook.hook import Facebook
from services.ingest.connectors.facebook.reader import facebook as facebook_reader
from services.ingest.connectors.facebook.settings import FacebookSettings
from services.ingest.connectors.instagram import speaker as instagram_speaker
from services.ingest.connectors.instagram.hook import Instagram
from services.ingest.connectors.instagram.reader import instagram as instagram_reader
from services.ingest.connectors.instagram.settings import InstagramSettings
from services.ingest.connectors.linkedin import speaker as linkedin_speaker
from services.ingest.connectors.linkedin.hook import LinkedIn
from services.ingest.connectors.linkedin.reader import linkedin as linkedin_reader
from services.ingest.connectors.linkedin.settings import LinkedInSettings
from services.ingest.connectors.mastodon import speaker as mastodon_speaker
from services.ingest.connectors.mastodon.connector import mastodon as mastodon_connector
from services.ingest.connectors.threads import speaker as threads_speaker
from services.ingest.connectors.threads.hook import Threads
from services.ingest.connectors.threads.reader import threads as threads_reader
from services.ingest.connectors.threads.settings import ThreadsSettings
from services.ingest.connectors.tiktok import speaker as tiktok_speaker
from services.ingest.connectors.tiktok.hook import Tiktok
from services.ingest.connectors.tiktok.reader import tiktok as tiktok_reader
from services.ingest.connectors.tiktok.settings import TiktokSettings
from services.ingest.connectors.x.hook import X
from services.ingest.connectors.x.reader import x as x_reader
from services.ingest.connectors.x.settings import XSettings
from services.ingest.connectors.youtube import speaker as youtube_speaker
from services.ingest.connectors.youtube.connector import quota_of as youtube_quota
from services.ingest.connectors.youtube.connector import youtube as youtube_connector
from services.ingest.connectors.youtube.settings import YoutubeSettings
from services.ingest.errands.speaker import MakeSpeaker
from services.ingest.hooks.hook import Hook
from services.ingest.leases.leases import Leases

CAPABILITIES: Mapping[str, Capabilities] = {
    each.PLATFORM: each.CAPABILITIES
    for each in (bluesky, mastodon, facebook, instagram, threads, x, linkedin, tiktok, youtube)
}
"""What each platform gives."""


class PlatformSettings(
    BlueskySettings,
    FacebookSettings,
    InstagramSettings,
    LinkedInSettings,
    ThreadsSettings,
    TiktokSettings,
    XSettings,
    YoutubeSettings,
    OutgoingSettings,
):
    """What the platforms' connectors are configured with."""


@dataclass(frozen=True)
class Made:
    """By platform: a connector that reads nothing yet, and what speaks for its accounts."""

    connectors: Mapping[str, Connector]
    speakers: Mapping[str, MakeSpeaker]


def make(settings: PlatformSettings, shared: Shared, leases: Leases) -> Made:
    """Everything that calls a platform."""
    quota = youtube_quota(settings, leases, shared)
    return Made(
        {
            bluesky.PLATFORM: Bluesky(settings, leases, shared),
            facebook.PLATFORM: facebook_reader(settings, leases, shared),
            instagram.PLATFORM: instagram_reader(settings, leases, shared),
            linkedin.PLATFORM: linkedin_reader(settings, leases, shared),
            mastodon.PLATFORM: mastodon_connector(leases, shared),
            threads.PLATFORM: threads_reader(settings, leases, shared),
            tiktok.PLATFORM: tiktok_reader(settings, leases, shared),
            x.PLATFORM: x_reader(settings, leases, shared),
            youtube.PLATFORM: youtube_connector(settings, quota, leases, shared),
        },
        {
            bluesky.PLATFORM: bluesky_speaker.speakers(settings, shared),
            facebook.PLATFORM: facebook_speaker.speakers(settings, shared),
            instagram.PLATFORM: instagram_speaker.speakers(settings, shared),
            linkedin.PLATFORM: linkedin_speaker.speakers(settings, shared),
            mastodon.PLATFORM: mastodon_speaker.speakers(shared),
            threads.PLATFORM: threads_speaker.speakers(settings, shared),
            tiktok.PLATFORM: tiktok_speaker.speakers(settings, shared),
            youtube.PLATFORM: youtube_speaker.speakers(settings, quota, shared),
        },
    )


_PUSHING: tuple[Callable[[PlatformSettings], Hook], ...] = (Facebook, Instagram, LinkedIn, Threads, Tiktok, X)


def hooks(settings: PlatformSettings) -> dict[str, Hook]:
    """The platforms that push to us, as far as they are set up."""
    made = (platform(settings) for platform in _PUSHING)
    return {hook.platform: hook for hook in made if hook.set_up}


class Platforms:
    """All platforms read as one: each connector gets the accounts of its platform. For one event loop."""

    def __init__(self, connectors: Mapping[str, Connector]) -> None:
        self._connectors = connectors

    def follow(self, accounts: Accounts) -> None:
        """Reads from now on for exactly these accounts, as far as their platforms have a connector."""
        for platform, connector in self._connectors.items():
            try:
                connector.follow({name: known for name, known in accounts.items() if known[1].platform == platform})
            except Exception:  # one platform's mistake must not stop the others
                logging.getLogger("rapport.ingest").exception("the accounts of %s are not followed", platform)

    def behind(self) -> set[str]:
        """The ids of accounts whose interactions may not all be in the log."""
        return set().union(*(connector.behind() for connector in self._connectors.values()))

    def disconnected(self) -> set[str]:
        """Of these, the accounts for which nothing is being read."""
        return set().union(*(connector.disconnected() for connector in self._connectors.values()))

    async def close(self) -> None:
        """Ends all reading."""
        await asyncio.gather(*(connector.close() for connector in self._connectors.values()))
