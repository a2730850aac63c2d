"""The demo on services that others use as well: two runs at once, each with a ward and devices of its own."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from stream.client import read_beds, read_wards
from stream.embedded import Services
from stream.settings import read_settings
from stream.store import connect

pytestmark = pytest.mark.system


def test_two_demos_on_one_log_do_not_mix_and_leave_no_bed_behind(tmp_path: Path) -> None:
    async def left(url: str) -> tuple[list[str], list[str]]:
        async with connect(url) as redis:
            return await read_wards(redis), [bed.device for bed in await read_beds(redis)]

    with Services(read_settings().model_copy(update={"kafka": None, "redis": None})) as services:
        named = {"VIGIL_KAFKA": services.kafka, "VIGIL_REDIS": services.redis, "OMP_NUM_THREADS": "1"}
        (tmp_path / "records").mkdir()
        command = [sys.executable, "-m", "stream", "demo", "--beds", "1", "--seconds", "12", "--json"]
        command += ["--records", str(tmp_path / "records")]
        runs = [subprocess.Popen(command, env=os.environ | named, stdout=subprocess.PIPE) for _ in range(2)]
        said = [json.loads(run.communicate(timeout=150)[0]) for run in runs]
        wards, devices = asyncio.run(left(services.redis))
    assert [run.returncode for run in runs] == [0, 0]
    for summary in said:
        figures = summary["figures"]
        assert figures["frames_in"] >= 40
        assert (figures["frames_lost"], summary["dead_letters"], summary["alerts_lost"]) == (0, 0, 0)
    assert len([ward for ward in wards if ward.startswith("demo-")]) == 2
    assert devices == []
