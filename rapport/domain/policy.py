"""Which rule sets an exchange's clock, and what times follow from it. Times and durations are milliseconds."""

from collections.abc import Iterable
from dataclasses import dataclass

from rapport.contracts.events import PolicyVersion, Rule

DEFAULT_RULE = Rule(target_seconds=24 * 3600)
"""Answer within 24 hours, with one warning when three quarters of them are over."""
DEFAULT_VERSION = 0


@dataclass(frozen=True)
class Terms:
    """What applies to one exchange for good: the rule, and where it stands (`version`, `index`)."""

    rule: Rule
    version: int
    index: int

    def due(self, opened: int) -> int:
        """When an exchange that opened at `opened` is due."""
        return opened + self.rule.target_seconds * 1000

    def warnings(self, opened: int) -> list[int]:
        """When its warnings are sent, in order."""
        return sorted(opened + round(share * self.rule.target_seconds * 1000) for share in self.rule.warn_at)


def terms(versions: Iterable[PolicyVersion], *, at: int, platform: str, kind: str, account: str) -> Terms:
    """The terms of an exchange opened at `at`: the first matching rule of the version then in force, else the default.

    In force is the version with the latest `effective_from` that is not after `at`; of two alike the higher version.
    """
    in_force = max(
        (version for version in versions if version.effective_from.timestamp() * 1000 <= at),
        key=lambda version: (version.effective_from, version.version),
        default=None,
    )
    if in_force is not None:
        for index, rule in enumerate(in_force.rules):
            when = rule.when
            if when.platform in (None, platform) and when.kind in (None, kind) and when.account in (None, account):
                return Terms(rule=rule, version=in_force.version, index=index)
    return Terms(rule=DEFAULT_RULE, version=DEFAULT_VERSION, index=0)
