"""What the doctor says of rights in Kafka, whatever rules there are."""

from typing import Any

import pytest
from kafka.admin import ACL, ACLOperation, ACLPermissionType, ACLResourcePatternType, ResourcePattern, ResourceType

from rapport.contracts.topics import CONVERSATIONS, ENGAGEMENTS
from rapport.processes import PROCESSES
from services.doctor import rights
from services.doctor.rights import Grant

WRITE = Grant(ResourceType.TOPIC, ENGAGEMENTS.name, False, ACLOperation.WRITE)


def rule(grant: Grant, user: str = "User:rapport-ingest", **changes: Any) -> ACL:
    """A rule of the broker."""
    pattern = ACLResourcePatternType.PREFIXED if grant.prefix else ACLResourcePatternType.LITERAL
    fields: dict[str, Any] = {
        "principal": user, "host": "*", "operation": grant.operation, "permission_type": ACLPermissionType.ALLOW,
        "resource_pattern": ResourcePattern(grant.kind, grant.name, pattern),
    }  # fmt: skip
    return ACL(**{**fields, **changes})


def enough(*without: Grant) -> list[ACL]:
    """What every process needs, less what ingest is to lack."""
    return [
        rule(grant, f"User:rapport-{process.name}")
        for process in PROCESSES
        for grant in rights.needed(process.name)
        if process.name != "ingest" or grant not in without
    ]


def test_as_much_as_is_needed_is_fine() -> None:
    assert WRITE in rights.needed("ingest")
    assert rights.compared(enough()) == ([], [])
    assert rights.compared(enough(WRITE)) == ([f"ingest may not WRITE topic {ENGAGEMENTS.name}"], [])


@pytest.mark.parametrize(
    "wider",
    [
        WRITE._replace(operation=ACLOperation.ALL),
        WRITE._replace(name="*"),
        WRITE._replace(name="rapport.", prefix=True),
        WRITE._replace(name="rapport.eng", prefix=True, operation=ACLOperation.ALL),
    ],
)
def test_a_wider_right_includes_it_and_is_more_than_it_needs(wider: Grant) -> None:
    lacking, doubtful = rights.compared([*enough(WRITE), rule(wider)])
    assert lacking == []
    assert doubtful == [f"ingest may {wider}, which it does not need"]


@pytest.mark.parametrize(
    "narrower",
    [
        WRITE._replace(operation=ACLOperation.READ),
        WRITE._replace(name=f"{ENGAGEMENTS.name}-"),
        WRITE._replace(name=f"{ENGAGEMENTS.name}-", prefix=True),
        WRITE._replace(kind=ResourceType.GROUP),
        WRITE._replace(name=ENGAGEMENTS.name[:-1]),
    ],
)
def test_another_right_does_not_include_it(narrower: Grant) -> None:
    lacking, doubtful = rights.compared([*enough(WRITE), rule(narrower)])
    assert lacking == [f"ingest may not WRITE topic {ENGAGEMENTS.name}"]
    assert doubtful == [f"ingest may {narrower}, which it does not need"]


def test_a_right_to_all_that_begin_so_is_not_had_by_the_right_to_one() -> None:
    every = next(each for each in rights.needed("ingest") if each.prefix)
    lacking, _ = rights.compared([*enough(every), rule(every._replace(name=CONVERSATIONS.name, prefix=False))])
    assert lacking == [f"ingest may not {every}"]


def test_what_writing_includes_is_no_more_than_is_needed() -> None:
    describe = WRITE._replace(operation=ACLOperation.DESCRIBE)
    assert rights.compared([*enough(), rule(describe)]) == ([], [])


def test_what_it_cannot_judge_it_says() -> None:
    refused = rule(WRITE, permission_type=ACLPermissionType.DENY)
    lacking, doubtful = rights.compared([*enough(), refused])
    assert lacking == []
    (said,) = doubtful
    assert said.startswith(f"User:rapport-ingest is refused WRITE topic {ENGAGEMENTS.name};")
    lacking, doubtful = rights.compared([*enough(WRITE), rule(WRITE, host="10.0.0.1")])
    assert lacking == [f"ingest may not WRITE topic {ENGAGEMENTS.name}"]
    assert "from 10.0.0.1 only" in doubtful[0]
    lacking, doubtful = rights.compared([*enough(WRITE), rule(WRITE, "User:*")])
    assert (lacking, doubtful) == ([], [f"everybody may WRITE topic {ENGAGEMENTS.name}"])


def test_users_of_other_names_are_not_known_and_their_names_are_shown_on_one_line() -> None:
    lacking, doubtful = rights.compared([rule(WRITE, "User:a\nb\u202e", host="x")])
    assert lacking == []
    assert sum("has no user of its own name" in each for each in doubtful) == len(PROCESSES)
    assert not any("\n" in each or "\u202e" in each for each in doubtful)
