"""Campaign routes."""

from typing import Annotated

from fastapi import APIRouter, Query

from rapport.kit import clock
from services.api.campaigns import changes, draws
from services.api.campaigns import service as campaigns
from services.api.campaigns.schemas import (
    AnswersQuery,
    Campaign,
    CampaignChanges,
    CampaignInput,
    CampaignsQuery,
    Draw,
    DrawChanges,
    DrawInput,
    Effect,
    EntriesQuery,
    Entry,
    ReplacementInput,
    Results,
    SurveyLink,
    SurveyLinkInput,
    TextAnswer,
)
from services.api.http.context import ContextDep
from services.api.http.problems import responses
from services.api.http.schemas import Page
from services.api.keys.service import PrincipalDep, ReadBrand, WriteBrand

router = APIRouter(prefix="/v1/brands/{brand}/campaigns", tags=["campaigns"])


@router.get("", responses=responses(403, 404))
async def list_campaigns(
    tenants: ReadBrand, context: ContextDep, query: Annotated[CampaignsQuery, Query()]
) -> Page[Campaign]:
    """A brand's campaigns, the latest start first."""
    return await campaigns.listed(context.database, tenants, query, clock.now())


@router.post("", status_code=201, responses=responses(403, 404, 409))
async def create_campaign(
    brand: str, new: CampaignInput, tenants: WriteBrand, who: PrincipalDep, context: ContextDep
) -> Campaign:
    """Creates a campaign. It may have begun, but must not have ended."""
    now = clock.now()
    return campaigns.shown(await changes.create(context.database, tenants, brand, new, who.name, now), now)


@router.get("/{campaign}", responses=responses(403, 404))
async def get_campaign(brand: str, campaign: str, tenants: ReadBrand, context: ContextDep) -> Campaign:
    """One campaign."""
    return campaigns.shown(await changes.existing(context.database, tenants, brand, campaign), clock.now())


@router.patch("/{campaign}", responses=responses(403, 404, 409))
async def change_campaign(
    brand: str, campaign: str, new: CampaignChanges, tenants: WriteBrand, context: ContextDep
) -> Campaign:
    """Changes the terms of a campaign, until it begins."""
    now = clock.now()
    changed = await changes.change(context.database, tenants, brand, campaign, new, now)
    return campaigns.shown(changed, now)


@router.delete("/{campaign}", responses=responses(403, 404))
async def end_campaign(brand: str, campaign: str, tenants: WriteBrand, context: ContextDep) -> Campaign:
    """Ends a campaign now. What was counted stays."""
    now = clock.now()
    return campaigns.shown(await changes.end(context.database, tenants, brand, campaign, now), now)


@router.get("/{campaign}/entries", responses=responses(403, 404))
async def list_entries(
    brand: str, campaign: str, tenants: ReadBrand, context: ContextDep, query: Annotated[EntriesQuery, Query()]
) -> Page[Entry]:
    """Valid entries with what fulfilled each requirement, or refused ones with the reasons."""
    return await campaigns.entries(context.database, tenants, brand, campaign, query, clock.now())


@router.get("/{campaign}/draw", responses=responses(403, 404))
async def get_draw(brand: str, campaign: str, tenants: ReadBrand, context: ContextDep) -> Draw:
    """A giveaway's draw; before it, the commitment alone."""
    return await campaigns.draw(context.database, tenants, brand, campaign, clock.now())


@router.post("/{campaign}/draw", status_code=201, responses=responses(403, 404, 409))
async def make_draw(
    brand: str, campaign: str, said: DrawInput, tenants: WriteBrand, who: PrincipalDep, context: ContextDep
) -> Draw:
    """Freezes the entries and draws, once, after the end."""
    now = clock.now()
    await draws.draw(context.database, tenants, brand, campaign, said, who.name, now)
    return await campaigns.draw(context.database, tenants, brand, campaign, now)


@router.patch("/{campaign}/draw", responses=responses(403, 404, 409))
async def change_draw(brand: str, campaign: str, new: DrawChanges, tenants: WriteBrand, context: ContextDep) -> Draw:
    """Sets whether the public proof names the winners. Nothing else of a draw can change."""
    found = await draws.drawn(context.database, tenants, brand, campaign)
    await draws.show_winners(context.database, tenants, found, new.show_winners)
    return await campaigns.draw(context.database, tenants, brand, campaign, clock.now())


@router.post("/{campaign}/draw/replacements", status_code=201, responses=responses(403, 404, 409))
async def replace_winner(
    brand: str, campaign: str, said: ReplacementInput, tenants: WriteBrand, who: PrincipalDep, context: ContextDep
) -> Draw:
    """Replaces a winner who cannot be reached with the next alternate."""
    now = clock.now()
    await draws.replace(context.database, tenants, brand, campaign, said.winner, said.why, who.name, now)
    return await campaigns.draw(context.database, tenants, brand, campaign, now)


@router.get("/{campaign}/results", responses=responses(403, 404))
async def get_results(brand: str, campaign: str, tenants: ReadBrand, context: ContextDep) -> Results:
    """Counts of entries and of reasons for refusal, and answers with their shares."""
    return await campaigns.results(context.database, tenants, brand, campaign, clock.now())


@router.get("/{campaign}/answers", responses=responses(403, 404))
async def list_answers(
    brand: str, campaign: str, tenants: ReadBrand, context: ContextDep, query: Annotated[AnswersQuery, Query()]
) -> Page[TextAnswer]:
    """Answers to a question in free words."""
    return await campaigns.answers(context.database, tenants, brand, campaign, query, clock.now())


@router.post("/{campaign}/links", status_code=201, responses=responses(403, 404, 409))
async def make_link(
    brand: str, campaign: str, said: SurveyLinkInput, tenants: WriteBrand, context: ContextDep
) -> SurveyLink:
    """Creates a link to the form for one follower. What it sends counts as the follower's answer."""
    token = await changes.personal_link(context.database, tenants, brand, campaign, said.follower, clock.now())
    return SurveyLink(path=campaigns.form_path(token))


@router.get("/{campaign}/effect", responses=responses(403, 404))
async def get_effect(brand: str, campaign: str, tenants: ReadBrand, context: ContextDep) -> Effect:
    """Relationships that it started and their stages after 30 and 90 days, compared with others of those weeks."""
    return await campaigns.effect(context.database, tenants, brand, campaign)
