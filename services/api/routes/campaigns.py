"""Campaigns: giveaways and surveys."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query

from rapport.domain.times import ms, utc
from services.api import campaign_views, campaigning, drawing
from services.api.auth import PrincipalDep, ReadBrand, WriteBrand
from services.api.context import ContextDep
from services.api.problems import responses
from services.api.schemas.campaigns import (
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
    Link,
    LinkInput,
    ReplacementInput,
    Results,
    TextAnswer,
)
from services.api.schemas.common import Page

router = APIRouter(prefix="/v1/brands/{brand}/campaigns", tags=["campaigns"])


def _now() -> datetime:
    """In whole milliseconds, which is how it is stored."""
    return utc(ms(datetime.now(UTC)))


@router.get("", responses=responses(403, 404))
async def list_campaigns(
    tenants: ReadBrand, context: ContextDep, query: Annotated[CampaignsQuery, Query()]
) -> Page[Campaign]:
    """A brand's campaigns, the latest start first."""
    return await campaign_views.campaigns(context.database, tenants, query, _now())


@router.post("", status_code=201, responses=responses(403, 404, 409))
async def create_campaign(
    brand: str, new: CampaignInput, tenants: WriteBrand, who: PrincipalDep, context: ContextDep
) -> Campaign:
    """Makes a campaign. It may have begun already, and must not have ended."""
    now = _now()
    return campaign_views.campaign(await campaigning.create(context.database, tenants, brand, new, who.name, now), now)


@router.get("/{campaign}", responses=responses(403, 404))
async def get_campaign(brand: str, campaign: str, tenants: ReadBrand, context: ContextDep) -> Campaign:
    """One campaign."""
    return campaign_views.campaign(await campaigning.existing(context.database, tenants, brand, campaign), _now())


@router.patch("/{campaign}", responses=responses(403, 404, 409))
async def change_campaign(
    brand: str, campaign: str, changes: CampaignChanges, tenants: WriteBrand, context: ContextDep
) -> Campaign:
    """Other terms, until it begins."""
    now = _now()
    changed = await campaigning.change(context.database, tenants, brand, campaign, changes, now)
    return campaign_views.campaign(changed, now)


@router.delete("/{campaign}", responses=responses(403, 404))
async def end_campaign(brand: str, campaign: str, tenants: WriteBrand, context: ContextDep) -> Campaign:
    """Ends it now. What it has come to stays."""
    now = _now()
    return campaign_views.campaign(await campaigning.end(context.database, tenants, brand, campaign, now), now)


@router.get("/{campaign}/entries", responses=responses(403, 404))
async def list_entries(
    brand: str, campaign: str, tenants: ReadBrand, context: ContextDep, query: Annotated[EntriesQuery, Query()]
) -> Page[Entry]:
    """Valid entries with what fulfilled each rule, or refused ones with the reasons."""
    return await campaign_views.entries(context.database, tenants, brand, campaign, query, _now())


@router.get("/{campaign}/draw", responses=responses(403, 404))
async def get_draw(brand: str, campaign: str, tenants: ReadBrand, context: ContextDep) -> Draw:
    """A giveaway's draw; before it, the commitment alone."""
    return await campaign_views.draw(context.database, tenants, brand, campaign, _now())


@router.post("/{campaign}/draw", status_code=201, responses=responses(403, 404, 409))
async def make_draw(
    brand: str, campaign: str, said: DrawInput, tenants: WriteBrand, who: PrincipalDep, context: ContextDep
) -> Draw:
    """Freezes the entries and draws, once, after the end."""
    now = _now()
    await drawing.draw(context.database, tenants, brand, campaign, said, who.name, now)
    return await campaign_views.draw(context.database, tenants, brand, campaign, now)


@router.patch("/{campaign}/draw", responses=responses(403, 404, 409))
async def change_draw(
    brand: str, campaign: str, changes: DrawChanges, tenants: WriteBrand, context: ContextDep
) -> Draw:
    """Whether the public proof names the winners. Nothing else of a draw changes."""
    found = await drawing.drawn(context.database, tenants, brand, campaign)
    await drawing.show_winners(context.database, tenants, found, changes.show_winners)
    return await campaign_views.draw(context.database, tenants, brand, campaign, _now())


@router.post("/{campaign}/draw/replacements", status_code=201, responses=responses(403, 404, 409))
async def replace_winner(
    brand: str, campaign: str, said: ReplacementInput, tenants: WriteBrand, who: PrincipalDep, context: ContextDep
) -> Draw:
    """Gives the place of a winner who cannot be reached to the next alternate."""
    now = _now()
    await drawing.replace(context.database, tenants, brand, campaign, said.winner, said.why, who.name, now)
    return await campaign_views.draw(context.database, tenants, brand, campaign, now)


@router.get("/{campaign}/results", responses=responses(403, 404))
async def get_results(brand: str, campaign: str, tenants: ReadBrand, context: ContextDep) -> Results:
    """How many entries, and why others were refused; the answers with their shares."""
    return await campaign_views.results(context.database, tenants, brand, campaign, _now())


@router.get("/{campaign}/answers", responses=responses(403, 404))
async def list_answers(
    brand: str, campaign: str, tenants: ReadBrand, context: ContextDep, query: Annotated[AnswersQuery, Query()]
) -> Page[TextAnswer]:
    """Answers to a question in free words."""
    return await campaign_views.answers(context.database, tenants, brand, campaign, query, _now())


@router.post("/{campaign}/links", status_code=201, responses=responses(403, 404, 409))
async def make_link(brand: str, campaign: str, said: LinkInput, tenants: WriteBrand, context: ContextDep) -> Link:
    """A link to the form for one follower, whose answer it then is."""
    token = await campaigning.personal_link(context.database, tenants, brand, campaign, said.follower, _now())
    return Link(path=campaign_views.form_path(token))


@router.get("/{campaign}/effect", responses=responses(403, 404))
async def get_effect(brand: str, campaign: str, tenants: ReadBrand, context: ContextDep) -> Effect:
    """Relationships that it started, and where they stood after 30 and 90 days, against the others of those weeks."""
    return await campaign_views.effect(context.database, tenants, brand, campaign)
