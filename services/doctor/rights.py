"""Who may do what in Kafka, held against what each process needs."""

from collections import defaultdict

from kafka import KafkaAdminClient
from kafka.admin import ACL, ACLFilter, ACLOperation, ACLPermissionType, ACLResourcePatternType, ResourcePatternFilter
from kafka.admin import ResourceType as Kind
from kafka.errors import ClusterAuthorizationFailedError, NoError, SecurityDisabledError

from rapport.contracts.rights import Right, rights
from rapport.kit.broker.kafka_login import login
from rapport.processes import PROCESSES
from services.doctor.finding import Findings

_KINDS = {
    "topic": Kind.TOPIC,
    "group": Kind.GROUP,
    "transactionalId": Kind.TRANSACTIONAL_ID,
    "cluster": Kind.CLUSTER,
}
Held = tuple[Kind, str, bool]
"""Kind and name of a resource, and whether it stands for all whose names begin so."""


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
    held = _held(rules)
    lacking, more = [], []
    for process in PROCESSES:
        its = held.get(f"User:rapport-{process.name}") or held.get(f"User:{process.name}")
        if its is None:
            more.append(f"{process.name} has no user of its own name, so its rights are not known")
            continue
        wanted = _wanted(rights(process.name))
        lacking += [f"{process.name} may not {operation.name} {_said(where)}" for where, operation in wanted - its]
        more += [
            f"{process.name} may {operation.name} {_said(where)}, which it does not need"
            for where, operation in its - wanted
        ]
    for each in sorted(lacking):
        found.wrong("rights", each)
    for each in sorted(more):
        found.doubtful("rights", each)
    if not lacking and not more:
        found.fine("rights", "each process may do what it needs, and no more")


def _everything() -> ACLFilter:
    anything = ResourcePatternFilter(Kind.ANY, None, ACLResourcePatternType.ANY)
    return ACLFilter(
        principal=None,
        host=None,
        operation=ACLOperation.ANY,
        permission_type=ACLPermissionType.ANY,
        resource_pattern=anything,
    )


def _held(rules: list[ACL]) -> dict[str, set[tuple[Held, ACLOperation]]]:
    held: dict[str, set[tuple[Held, ACLOperation]]] = defaultdict(set)
    for rule in rules:
        if rule.permission_type is ACLPermissionType.ALLOW:
            pattern = rule.resource_pattern
            prefix = pattern.pattern_type is ACLResourcePatternType.PREFIXED
            held[rule.principal].add(((pattern.resource_type, pattern.resource_name, prefix), rule.operation))
    return held


def _wanted(rules: tuple[Right, ...]) -> set[tuple[Held, ACLOperation]]:
    return {
        ((_KINDS[rule.kind], rule.name, rule.prefix), ACLOperation[_constant(operation)])
        for rule in rules
        for operation in rule.operations
    }


def _constant(operation: str) -> str:
    """`DESCRIBE_CONFIGS` for `DescribeConfigs`."""
    return "".join(f"_{letter}" if letter.isupper() and at else letter for at, letter in enumerate(operation)).upper()


def _said(where: Held) -> str:
    kind, name, prefix = where
    return f"{kind.name.lower().replace('_', ' ')} {name}{'*' if prefix else ''}"
