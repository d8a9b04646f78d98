"""The real program as a process: started, killed, started again."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

LIMITS = {
    "longest_call_s": 1.0,
    "trade_call_s": 0.8,
    "absence_wait_mt4_s": 0.3,
    "absence_wait_mt5_s": 0.3,
    "absence_reads_apart_s": 0.2,
    "later_open_s": [0.1, 0.2],
    "later_close_first_s": 0.1,
    "later_close_cap_s": 0.5,
    "snapshot_every_s": 0.5,
    "missing_every_s": 0.2,
    "history_lag_s": 0.5,
    "reconnect_first_s": 0.1,
    "reconnect_cap_s": 0.3,
    "publish_every_s": 0.1,
    "breaker_pause_s": 0.2,
    "code_wait_share": 0.05,
    "drain_s": 2.0,
}


PATIENCE_S = 90.0
"""After which a wait is a failure: far more than is ever needed, since several tests share a machine."""


class Program:
    """`copypro up` on one data folder, or another command beside others."""

    def __init__(
        self,
        data: Path,
        mt4: str,
        mt5: str,
        port: int,
        *,
        command: str = "up",
        **environment: str,
    ) -> None:
        self.command = command
        self.url = f"http://127.0.0.1:{port}"
        self.log = data.parent / "copypro.log"
        self._environment = os.environ | {
            "ApiMT4": mt4,
            "ApiMT5": mt5,
            "COPYPRO_DATA": str(data),
            "COPYPRO_GATEWAY_PORT": str(port),
            "COPYPRO_SERVICE_PORT": str(port),
            "COPYPRO_BRIDGE_READS_PER_S": "1000",
            "COPYPRO_TEST_LIMITS": json.dumps(LIMITS),
            **environment,
        }
        self.process: asyncio.subprocess.Process | None = None

    async def start(self, *, wait: bool = True) -> None:
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "copypro_standalone", self.command, "--test-limits",
                env=self._environment, stdout=log, stderr=log,
            )  # fmt: skip
        if wait:
            await self.until_ready()

    async def until_ready(self, within_s: float = PATIENCE_S) -> None:
        assert self.process is not None
        async with asyncio.timeout(within_s), aiohttp.ClientSession() as session:
            while True:
                assert self.process.returncode is None, self.log.read_text()[-3000:]
                try:
                    async with session.get(f"{self.url}/health/ready") as response:
                        if response.status == 200:
                            return
                except aiohttp.ClientError:
                    pass
                await asyncio.sleep(0.02)

    async def until(
        self, condition: Callable[[], Awaitable[object]], within_s: float = PATIENCE_S
    ) -> None:
        async with asyncio.timeout(within_s):
            while True:
                if await condition():
                    return
                await asyncio.sleep(0.02)

    async def kill(self) -> None:
        """`kill -9`."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        await self.process.wait()

    async def terminate(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return await asyncio.wait_for(self.process.wait(), PATIENCE_S)

    async def end(self) -> None:
        """Whatever state it is in."""
        if self.process is not None and self.process.returncode is None:
            await self.kill()

    async def explain(self, account: str, ticket: int) -> str:
        """What `copypro explain` tells a person of it."""
        asked = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "copypro_standalone", "explain", account, str(ticket),
            env=self._environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        told, _ = await asked.communicate()
        return told.decode()

    def lines(self) -> list[dict[str, Any]]:
        """Of its log; with COPYPRO_LOG_JSON every line but an error that ended it is JSON."""
        said = self.log.read_text().splitlines()
        return [json.loads(line) for line in said if line.startswith("{")]

    async def metrics(self) -> dict[tuple[str, tuple[str, ...]], float]:
        """By name and the values of the labels."""
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{self.url}/metrics") as response,
        ):
            families = text_string_to_metric_families(await response.text())
        return {
            (sample.name, tuple(sample.labels.values())): sample.value
            for family in families
            for sample in family.samples
        }

    async def call(self, name: str, key: str = "", **body: Any) -> Any:
        status, answer = await self.ask(name, key, **body)
        assert status == 200, (name, answer)
        return answer

    async def ask(self, name: str, key: str = "", **body: Any) -> tuple[int, Any]:
        """The status, whichever it is, and the answer."""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{self.url}/{name}", json=body, headers=headers) as response,
        ):
            return response.status, await response.json()
