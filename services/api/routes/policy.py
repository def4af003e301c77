"""A brand's policy: how soon exchanges are due."""

from datetime import UTC, datetime

from fastapi import APIRouter

from services.api import shapes
from services.api.auth import ReadBrand, WriteBrand
from services.api.context import ContextDep
from services.api.problems import responses
from services.api.repositories.policies import Policies
from services.api.routes.publishing import confirmed
from services.api.schemas.settings import Policy, PolicyInput, Rule

router = APIRouter(prefix="/v1", tags=["policy"])


@router.put("/brands/{brand}/policy", responses=responses(403, 404, 503))
async def put_policy(brand: str, new: PolicyInput, tenants: WriteBrand, context: ContextDep) -> Policy:
    """Makes a new version that applies to exchanges opened from now on; those opened before keep theirs."""
    now = datetime.now(UTC)
    policies = Policies(context.database, tenants)
    rules = [
        {
            "when": rule.when.model_dump(exclude_none=True),
            "target_seconds": rule.target_seconds,
            "warn_at": rule.warn_at,
        }
        for rule in new.rules
    ]
    version = await policies.add(brand, rules, now)
    await confirmed(context, brand)
    shown = [Rule(when=rule.when, target_seconds=rule.target_seconds, warn_at=rule.warn_at) for rule in new.rules]
    return Policy(version=version, effective_from=now, rules=shown)


@router.get("/brands/{brand}/policy", responses=responses(403, 404))
async def get_policy(brand: str, tenants: ReadBrand, context: ContextDep) -> Policy:
    """The latest version; version 0, the default, before a brand has rules of its own."""
    found = await Policies(context.database, tenants).latest(brand)
    if found is None:
        return Policy(version=0, effective_from=None, rules=[shapes.default_rule()])
    return Policy(
        version=found["version"],
        effective_from=found["effective_from"],
        rules=[shapes.rule(each) for each in found["rules"]],
    )
