"""The tasks, in the order in which they run if several are due."""

from services.api.answering import upkeep as answering
from services.api.calendar import upkeep as calendar
from services.api.campaigns import upkeep as campaigns
from services.api.communities import upkeep as communities
from services.api.erasure import upkeep as erasure
from services.api.followers import upkeep as followers
from services.api.identities import upkeep as identities
from services.api.listening import upkeep as listening
from services.api.mix import upkeep as mix
from services.api.new_relationships import stage_after
from services.api.new_relationships import upkeep as new_relationships
from services.api.projector.upkeep import backfill_arrived, old_indexes
from services.api.projector.upkeep.loop import Task
from services.api.retention import upkeep as retention

TASKS: tuple[Task, ...] = (
    erasure.TASK,
    retention.TASK,
    followers.TASK,
    identities.TASK,
    answering.TASK,
    backfill_arrived.TASK,
    new_relationships.TASK,
    mix.TASK,
    calendar.TASK,
    campaigns.TASK,
    stage_after.TASK,
    communities.TASK,
    communities.WORDS,
    listening.TASK,
    old_indexes.TASK,
)
