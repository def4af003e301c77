"""Settings of the YouTube connector."""

from typing import Annotated

from pydantic import Field, SecretStr

from rapport.kit.config import HeaderSecret, ServiceSettings


class YoutubeSettings(ServiceSettings):
    """Of the project in Google's console that all channels are read with."""

    youtube_key: HeaderSecret = SecretStr("")
    """The API key. Without one, no channel is read, and each says so."""
    youtube_units: Annotated[int, Field(ge=100, le=100_000_000)] = 10_000
    """The project's quota a day. Google raises it on request."""
    youtube_api: str = "https://www.googleapis.com"
    """The address of the interface."""
