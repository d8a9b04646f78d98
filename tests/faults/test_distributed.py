"""`make up-distributed`, then the demo on it: every service as processes, on a real broker and database."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
ROOT = Path(__file__).parents[2]
PATH = os.pathsep.join([str(ROOT), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]).rstrip(
    os.pathsep
)
PARTITIONS = 4
PROCESSES = (
    "gateway", "account-watcher-1", "account-watcher-2", "replicator-1", "replicator-2", "stats-1",
)  # fmt: skip


async def run(*command: str, cwd: Path, **environment: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", *command,
        cwd=cwd, env=os.environ | {"PYTHONPATH": PATH} | environment,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    said, _ = await process.communicate()
    return process.returncode or 0, said.decode()


def lines(folder: Path, name: str) -> list[dict[str, Any]]:
    log = (folder / ".infra" / "logs" / f"{name}.log").read_text()
    return [json.loads(line) for line in log.splitlines()]


async def test_the_demo_on_processes_checks_the_brokers_books_and_each_process_ends_cleanly(
    tmp_path: Path, kafka_address: str, mongo_url: str
) -> None:
    shift = 10_000 + os.getpid() % 1000 * 10  # below the ports that the system hands out
    settings = {
        "KAFKA_BOOTSTRAP_SERVERS": kafka_address,
        "MongoDB": mongo_url,
        "COPYPRO_PARTITIONS": str(PARTITIONS),
        "COPYPRO_LOCAL_PORT_SHIFT": str(shift),
        "COPYPRO_URL": f"http://127.0.0.1:{5020 + shift}",
    }
    trades = tmp_path / "trades.csv"
    every = (ROOT / "examples" / "trades.csv").read_text().splitlines(keepends=True)
    trades.write_text("".join(every[:41]))
    try:
        code, said = await run("infra.local.distributed", "up", cwd=tmp_path, **settings)
        assert code == 0, said
        assert "SIMULATED" in said
        code, said = await run(
            "copypro_standalone", "demo", "--once", "--json", "--distributed",
            "--trades", str(trades),
            cwd=tmp_path, **settings, ApiMT5=f"http://127.0.0.1:{5005 + shift}",
        )  # fmt: skip
        assert code == 0, said[-3000:]
        summary = json.loads(said.splitlines()[-1])
        assert (summary["ok"], summary["master_trades"]) == (True, 40)
        assert summary["copies"] > 20, summary
    finally:
        code, said = await run("infra.local.distributed", "down", cwd=tmp_path, **settings)
    assert code == 0, said
    for name in PROCESSES:
        assert lines(tmp_path, name)[-1]["event"] == "stopped", name
    everything = [line for name in PROCESSES for line in lines(tmp_path, name)]
    assert all(line["SIMULATED"] for line in everything)
    assert not [line for line in everything if line["level"] in ("error", "critical")]
    (filled, *_) = (line for line in everything if line["event"] == "filled")
    story = [line for line in everything if line.get("correlation") == filled["correlation"]]
    told = {line["event"] for line in story}
    assert told >= {"position opened", "planned", "attempt", "filled"}, "over all processes"
