"""Into how many partitions an installation divides its topics: RAPPORT_PARTITIONS, the same for all its processes."""

from functools import cache
from typing import Annotated

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

DEFAULT = 4
MOST = 512
"""Each partition gets a tick every few seconds, and each is a directory of state with the worker that has it."""

Partitions = Annotated[int, Field(ge=1, le=MOST)]


class _Installation(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="RAPPORT_", extra="ignore", frozen=True)

    partitions: Partitions = DEFAULT


@cache
def of_installation() -> int:
    """The number, read once. Raises ValidationError unless it is a number from 1 to `MOST`."""
    return _Installation().partitions
