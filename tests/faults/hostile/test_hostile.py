"""One client is attacked in every known way while processes are killed; another must not notice."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

from rapport.local.installation import Installation
from tests.faults.hostile.run import KILLED, hostile_run
from tests.faults.long_run import aloud
from tests.services.notifier.receivers import WebhookReceiver

pytestmark = [pytest.mark.stack, pytest.mark.faults, pytest.mark.timeout(2_400)]

SETTINGS = {
    "RAPPORT_WEBHOOK_ALLOW_PRIVATE": "true",
    "RAPPORT_TICK_SECONDS": "0.5",
    "RAPPORT_BREACH_GRACE_SECONDS": "0.5",
}


def test_who_is_not_attacked_notices_nothing(tmp_path: Path) -> None:
    installation, webhooks = Installation(), WebhookReceiver()
    data = tmp_path / "data"
    try:
        installation.start(data, lambda *_: None, SETTINGS, any_port=True)
        run = asyncio.run(hostile_run(installation, webhooks, seconds=90, per_second=200, say=aloud))
        assert run.wrong[:20] == []
        assert run.calm > 500
        # Of 18,000; on a busy machine far fewer are through in that time, and of each kind there are still dozens.
        assert sum(run.hostile.values()) > 500
        assert set(run.killed) == set(KILLED)
        command = ["-m", "rapport.cli", "verify", "--data", str(data), "--json"]
        verified = subprocess.run(
            [sys.executable, *command], capture_output=True, text=True, timeout=1_800, check=False
        )
        assert verified.stdout.strip(), verified.stderr
        *differences, summary = [json.loads(line) for line in verified.stdout.splitlines()]
        assert (differences, summary["differences"], verified.returncode) == ([], 0, 0), verified.stderr
    finally:
        installation.stop()
        webhooks.close()
