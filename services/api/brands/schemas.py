"""Brands."""

from typing import Annotated
from zoneinfo import available_timezones

from pydantic import AfterValidator, AwareDatetime, BaseModel, Field

from services.api.http.schemas import Id, Input, Name


def _known_zone(zone: str) -> str:
    if zone not in available_timezones():
        raise ValueError(f"{zone!r} is not a time zone of the IANA database, such as 'Europe/Berlin'")
    return zone


class BrandInput(Input):
    """A new client of the agency."""

    id: Id
    name: Name
    timezone: Annotated[str, Field(max_length=64), AfterValidator(_known_zone)] = "UTC"


class Brand(BaseModel):
    """A client of the agency."""

    id: str
    name: str
    timezone: str
    created_at: AwareDatetime
