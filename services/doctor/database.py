"""MongoDB: members, indexes, clock, room."""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Any

from pymongo import IndexModel
from pymongo.errors import OperationFailure, PyMongoError

from rapport.domain.figures import counted
from rapport.kit import mongo
from services.api.storage.indexes import INDEXES
from services.doctor.finding import Findings

OLDEST = (6, 0)
SKEW_SECONDS = 10.0


def look(uri: str, database: str, found: Findings) -> None:
    """Checks what can be asked of MongoDB."""
    with found.about("mongodb", PyMongoError), mongo.client(uri) as client:
        before = datetime.now(UTC)
        hello = client.admin.command("hello")
        skew = (hello["localTime"].replace(tzinfo=UTC) - before).total_seconds()
        if abs(skew) > SKEW_SECONDS:
            found.wrong("mongodb's clock", f"it differs from this machine's by {skew:.0f} s: synchronise both")
        else:
            found.fine("mongodb's clock", "as this machine's")
        _version(client.server_info(), found)
        _members(client, hello, found)
        views: Any = client[database]
        there = set(views.list_collection_names())
        missing = [
            f"{collection}.{name}"
            for collection, models in INDEXES.items()
            if collection in there
            for name in _lacking(models, views[collection].index_information())
        ]
        found.all_fine(
            "indexes",
            (f"{name} is missing: the API and the projector create it when they start" for name in missing),
            "all are there",
        )
        _room(views.command("dbStats"), found)


def _lacking(models: Sequence[IndexModel], there: Collection[str]) -> list[str]:
    return [model.document["name"] for model in models if model.document["name"] not in there]


def _version(info: dict[str, Any], found: Findings) -> None:
    version = tuple(info["versionArray"][:2])
    found.check("mongodb's version", version >= OLDEST, str(info["version"]))


def _members(client: Any, hello: dict[str, Any], found: Findings) -> None:
    if "setName" not in hello:
        found.wrong("replica set", "MongoDB runs without one, and Rapport needs transactions")
        return
    try:
        members = client.admin.command("replSetGetStatus")["members"]
    except OperationFailure:
        found.doubtful("replica set", "this user may not ask for its members")
        return
    away = [each["name"] for each in members if each["health"] != 1]
    if away:
        found.wrong("replica set", f"away: {', '.join(away)}")
    elif len(members) < 3:
        found.doubtful("replica set", f"{counted(len(members), 'member')}: one that is lost takes the views along")
    else:
        found.fine("replica set", f"{len(members)} members")


def _room(stats: dict[str, Any], found: Findings) -> None:
    used, total = stats.get("fsUsedSize"), stats.get("fsTotalSize")
    if total:
        found.room("mongodb's disk", total - used, total)
