"""`copypro` on the command line beside the running program: real processes, real output."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from tests.journey.world import CANARY, World

CODE = {name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ}
"""Where the code is that is tested here, if that is not the installed one."""


async def copypro(
    world: World, *arguments: str, key: str = "", answers: str = "", data: Path | None = None
) -> tuple[int, str]:
    """A command beside the running ring, which finds the same servers."""
    own = {"COPYPRO_DATA": str(data or world.data), "COPYPRO_KEY": key}
    return await run_command(*arguments, answers=answers, **world.environment(), **own)


async def run_command(*arguments: str, answers: str = "", **environment: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "copypro_standalone",
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=CODE | {"COLUMNS": "200", "PATH": ""} | environment,
    )
    said, _ = await asyncio.wait_for(process.communicate(answers.encode()), 60)
    assert CANARY not in said.decode()
    return process.returncode or 0, said.decode()
