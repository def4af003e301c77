"""The tasks, in the order in which they run where several are due."""

from services.api.upkeep import (
    answering,
    arrivals,
    beginnings,
    calendar,
    campaigns,
    communities,
    erasing,
    persons,
    posts,
    stage_after,
    stages,
    tidying,
)
from services.api.upkeep.loop import Task

TASKS: tuple[Task, ...] = (
    erasing.TASK,
    stages.TASK,
    persons.TASK,
    answering.TASK,
    arrivals.TASK,
    beginnings.TASK,
    posts.TASK,
    calendar.TASK,
    campaigns.TASK,
    stage_after.TASK,
    communities.TASK,
    communities.WORDS,
    tidying.TASK,
)
