"""Who may do what in Kafka, held against what each process needs."""

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from kafka import KafkaAdminClient
from kafka.admin import ACL, ACLFilter, ACLOperation, ACLPermissionType, ACLResourcePatternType, ResourcePatternFilter
from kafka.admin import ResourceType as Kind
from kafka.errors import ClusterAuthorizationFailedError, NoError, SecurityDisabledError

from rapport.contracts.rights import rights
from rapport.kit.broker.kafka_login import login
from rapport.kit.text import escaped
from rapport.processes import PROCESSES
from services.doctor.finding import Findings

_KINDS = {
    "topic": Kind.TOPIC,
    "group": Kind.GROUP,
    "transactionalId": Kind.TRANSACTIONAL_ID,
    "cluster": Kind.CLUSTER,
}
_IMPLIED = {
    ACLOperation.DESCRIBE: {ACLOperation.READ, ACLOperation.WRITE, ACLOperation.DELETE, ACLOperation.ALTER},
    ACLOperation.DESCRIBE_CONFIGS: {ACLOperation.ALTER_CONFIGS},
}
"""What Kafka takes as included in another operation."""
EVERYBODY = "User:*"
LONGEST_NAME = 250
"""Characters; Kafka allows 249 in the name of a topic."""


class Grant(NamedTuple):
    """Something that may be done with a resource, or with all whose names begin so."""

    kind: Kind
    name: str
    prefix: bool
    operation: ACLOperation

    def covers(self, other: "Grant") -> bool:
        """Whether whoever has this one needs no other for that."""
        operations = {ACLOperation.ALL, other.operation, *_IMPLIED.get(other.operation, ())}
        if self.kind is not other.kind or self.operation not in operations:
            return False
        if self.prefix:
            return other.name.startswith(self.name)
        return self.name == "*" or (self.name == other.name and not other.prefix)

    def __str__(self) -> str:
        kind = self.kind.name.lower().replace("_", " ")
        return f"{self.operation.name} {kind} {escaped(self.name, LONGEST_NAME)}{'*' if self.prefix else ''}"


def look(bootstrap: str, found: Findings) -> None:
    """Says which process lacks a right, and which has more than it needs. Raises KafkaError, OSError.

    A process is known by its user, `rapport-<process>` or `<process>`.
    """
    asked = KafkaAdminClient(bootstrap_servers=bootstrap.split(","), **login())
    try:
        rules, error = asked.describe_acls(_everything())
    except SecurityDisabledError:
        found.doubtful("rights", "Kafka asks nobody what they may do; it has no authorizer")
        return
    except ClusterAuthorizationFailedError:
        found.doubtful("rights", "this user may not see them: it needs Describe on the cluster")
        return
    finally:
        asked.close()
    if error is not NoError:
        found.doubtful("rights", f"they cannot be seen: {error}")
        return
    lacking, doubtful = compared(rules)
    for each in lacking:
        found.wrong("rights", each)
    for each in doubtful:
        found.doubtful("rights", each)
    if not lacking and not doubtful:
        found.fine("rights", "each process may do what it needs, and no more")


def compared(rules: Iterable[ACL]) -> tuple[list[str], list[str]]:
    """What processes lack, and what is more than they need or not known here, in words."""
    held: dict[str, list[Grant]] = defaultdict(list)
    lacking, doubtful = [], []
    for rule in rules:
        who, grant = escaped(rule.principal, LONGEST_NAME), _grant(rule)
        if rule.permission_type is not ACLPermissionType.ALLOW:
            doubtful.append(f"{who} is refused {grant}; whether that is in anybody's way is not known")
        elif rule.host != "*":
            doubtful.append(
                f"{who} may {grant} from {escaped(rule.host, LONGEST_NAME)} only, which does not count here"
            )
        else:
            held[rule.principal].append(grant)
    doubtful += [f"everybody may {grant}" for grant in held[EVERYBODY]]
    for process in PROCESSES:
        its = held.get(f"User:rapport-{process.name}") or held.get(f"User:{process.name}")
        if its is None:
            doubtful.append(f"{process.name} has no user of its own name, so its rights are not known")
            continue
        wanted = needed(process.name)
        may = [*its, *held[EVERYBODY]]
        lacking += [f"{process.name} may not {need}" for need in wanted if not any(it.covers(need) for it in may)]
        doubtful += [
            f"{process.name} may {grant}, which it does not need"
            for grant in its
            if not any(need.covers(grant) for need in wanted)
        ]
    return sorted(set(lacking)), sorted(set(doubtful))


def needed(user: str) -> list[Grant]:
    """What a process, or whoever operates them, has to be granted."""
    return [
        Grant(_KINDS[right.kind], right.name, right.prefix, ACLOperation[_constant(operation)])
        for right in rights(user)
        for operation in right.operations
    ]


def _everything() -> ACLFilter:
    anything = ResourcePatternFilter(Kind.ANY, None, ACLResourcePatternType.ANY)
    return ACLFilter(
        principal=None,
        host=None,
        operation=ACLOperation.ANY,
        permission_type=ACLPermissionType.ANY,
        resource_pattern=anything,
    )


def _grant(rule: ACL) -> Grant:
    pattern = rule.resource_pattern
    prefix = pattern.pattern_type is ACLResourcePatternType.PREFIXED
    return Grant(pattern.resource_type, pattern.resource_name, prefix, rule.operation)


def _constant(operation: str) -> str:
    """`DESCRIBE_CONFIGS` for `DescribeConfigs`."""
    return "".join(f"_{letter}" if letter.isupper() and at else letter for at, letter in enumerate(operation)).upper()
