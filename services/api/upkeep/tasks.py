"""The tasks, in the order in which they run where several are due."""

from services.api.upkeep import persons, stages
from services.api.upkeep.loop import Task

TASKS: tuple[Task, ...] = (stages.TASK, persons.TASK,)
