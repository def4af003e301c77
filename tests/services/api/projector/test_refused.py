"""What MongoDB refuses because of its own state is written once that has passed; what it never takes is told apart."""

from datetime import UTC, datetime
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.database import Database
from pymongo.errors import BulkWriteError

from rapport.kit import mongo
from rapport.kit.mongo import Document
from rapport.local.servers.stack import Running
from services.api.interactions.documents import interaction_document
from services.api.projector import views as writing
from services.api.projector.batch import Batch
from tests.services.api import facts

pytestmark = pytest.mark.stack
USER = "projector-in-test"


@pytest.fixture
def plain(stack: Running, views: Database[Document]) -> Any:
    """The database as the projector has it in production: to read and write, and nothing else."""
    where = stack.mongodb.rpartition("@")[2].partition("/")[0]
    with MongoClient[Document](stack.mongodb) as root:
        root.admin.command("createUser", USER, pwd=USER, roles=[{"role": "readWrite", "db": views.name}])
        try:
            with mongo.client(f"mongodb://{USER}:{USER}@{where}/?authSource=admin&directConnection=true") as client:
                yield client[views.name]
        finally:
            root.admin.command("dropUser", USER)


def test_while_writes_are_blocked_nothing_is_given_up(
    stack: Running, views: Database[Document], plain: Database[Document]
) -> None:
    batch = Batch()
    document = interaction_document(facts.post("one", "acme", datetime.now(UTC), "Hello"))
    batch.interactions[document["_id"]] = document
    profile: Any = {"x": {"_id": "x", "version": 1}}
    with MongoClient[Document](stack.mongodb) as root:
        root.admin.command({"setUserWriteBlockMode": 1, "global": True})
        try:
            with pytest.raises(BulkWriteError):
                writing.write(plain, batch)
            with pytest.raises(BulkWriteError):
                writing._upsert(plain, "profiles", profile)
        finally:
            root.admin.command({"setUserWriteBlockMode": 1, "global": False})
    assert writing.write(plain, batch) == {}
    writing._upsert(plain, "profiles", profile)
    assert views["interactions"].count_documents({"_id": document["_id"]}) == 1


def test_what_it_never_takes_is_told(views: Database[Document]) -> None:
    views.create_collection("strict", validator={"text": {"$type": "string"}})
    assert list(writing._insert(views, "strict", {"a": {"_id": "a", "text": 7}, "b": {"_id": "b", "text": "x"}})) == [
        "a"
    ]
    with pytest.raises(writing.RefusedError, match="strict"):
        writing._upsert(views, "strict", {"c": {"_id": "c", "version": 1, "text": 7}})
