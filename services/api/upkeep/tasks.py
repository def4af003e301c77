"""The tasks, in the order in which they run where several are due."""

from services.api.upkeep import (
    answering,
    beginnings,
    calendar,
    campaigns,
    communities,
    erasing,
    persons,
    posts,
    stage_after,
    stages,
)
from services.api.upkeep.loop import Task

TASKS: tuple[Task, ...] = (
    erasing.TASK,
    stages.TASK,
    persons.TASK,
    answering.TASK,
    beginnings.TASK,
    posts.TASK,
    calendar.TASK,
    campaigns.TASK,
    stage_after.TASK,
    communities.TASK,
    communities.WORDS,
)
