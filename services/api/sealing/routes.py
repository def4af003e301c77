"""Sealing routes: secrets at rest get another key."""

from fastapi import APIRouter

from rapport.kit.sealing import SealedError
from services.api.http.context import ContextDep
from services.api.http.problems import ProblemError, responses
from services.api.keys.service import Admin
from services.api.publishing.service import confirmed
from services.api.sealing.repository import Secrets
from services.api.sealing.schemas import SealedAgain

router = APIRouter(prefix="/v1", tags=["keys"])

TRIES = 5
"""A brand that is changed as often as this meanwhile is reported, and not tried again."""


@router.post("/secrets/seal", responses=responses(403, 409, 503))
async def seal_secrets(who: Admin, context: ContextDep) -> SealedAgain:
    """Seals every secret with the first of `RAPPORT_SEALING_KEYS` that is sealed with another key, or not at all.

    May be repeated, also after an answer that never came. Secrets of disconnected accounts are sealed too.
    """
    if who.brands is not None:
        raise ProblemError(403, "forbidden", "this concerns all brands, so it needs a key for all brands")
    sealer = context.sealer
    if not sealer.keys:
        raise ProblemError(409, "conflict", "the API has no RAPPORT_SEALING_KEYS, so secrets are stored as they are")
    secrets = Secrets(context.database, sealer)
    done = SealedAgain(sealed_with=sealer.keys[0][0], secrets=0, failed={})
    for brand in await secrets.brands():
        try:
            many = None
            for _ in range(TRIES):
                many = await secrets.seal_again(brand)
                if many is not None:
                    break
        except SealedError as error:
            done.failed[brand] = str(error)
            continue
        if many is None:
            done.failed[brand] = "it was changed meanwhile, again and again"
            continue
        done.secrets += many
        if many:
            await confirmed(context.publisher, brand)
    return done
