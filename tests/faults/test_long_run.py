"""All of it at once, for some minutes; `python -m bench long-run` does it for as long as somebody wants."""

from pathlib import Path

import pytest

from rapport.local.servers.stack import Stack
from tests.faults.long_run import aloud, long_run

pytestmark = [pytest.mark.stack, pytest.mark.faults, pytest.mark.long]


@pytest.mark.red("forgetful()")
def test_workers_that_come_and_go_all_the_time_lose_and_repeat_nothing(tmp_path: Path) -> None:
    servers = Stack(tmp_path / "stack")
    try:
        run = long_run(
            servers.up(bound=True, any_port=True), tmp_path, seed=1, interactions=20_000, faults=7, say=aloud
        )
    finally:
        servers.down()
    assert run.wrong == []
    assert run.verified is not None
    assert (run.verified.differences, run.verified.code) == ([], 0)
    assert run.interactions >= 20_000
    assert len(run.faults) == 7
    assert run.alerts > 1_000
