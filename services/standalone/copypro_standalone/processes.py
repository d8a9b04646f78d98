"""Child processes of the demo and of tests: the same commands a person types, on free ports."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from copypro.errors import CopyProError

STOP_S = 12.0
"""A ring ends within 10 s; past this it is killed."""


class ChildEnded(CopyProError):
    """A process that must run has ended; the message has its last words."""


class Child:
    def __init__(self, name: str, process: asyncio.subprocess.Process, log: Path) -> None:
        self._name, self._process, self._log = name, process, log

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.returncode

    def words(self) -> str:
        """Everything it has written."""
        return self._log.read_text(errors="replace")

    def check(self) -> None:
        """Errors: ChildEnded."""
        if self._process.returncode is not None:
            last = "\n".join(self.words().splitlines()[-5:])
            raise ChildEnded(f"{self._name} ended ({self._process.returncode}): {last}")

    def send(self, signal: int) -> None:
        self._process.send_signal(signal)

    async def ended(self) -> int:
        """Its exit code, once it has ended; minus the signal that killed it."""
        return await self._process.wait()

    async def kill(self) -> None:
        """As a power cut does: nothing of it runs any more."""
        self._process.kill()
        await self._process.wait()

    async def stop(self) -> None:
        if self._process.returncode is None:
            self._process.terminate()
            try:
                await asyncio.wait_for(self._process.wait(), STOP_S)
            except TimeoutError:
                self._process.kill()
                await self._process.wait()


async def start(
    name: str,
    arguments: Sequence[str],
    env: Mapping[str, str],
    log: Path,
    module: str = "copypro_standalone",
) -> Child:
    """`copypro` with these arguments; what it writes goes to `log`. `env` is added to ours."""
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            module,
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, **env},
            # Of its own session: Ctrl-C reaches us alone, and we stop it in order.
            start_new_session=True,
        )
    return Child(name, process, log)


@asynccontextmanager
async def child(
    name: str,
    arguments: Sequence[str],
    env: Mapping[str, str],
    log: Path,
    module: str = "copypro_standalone",
) -> AsyncIterator[Child]:
    started = await start(name, arguments, env, log, module)
    try:
        yield started
    finally:
        await started.stop()


def free_port(wanted: int = 0, host: str = "127.0.0.1") -> int:
    """The wanted port if it is free, else any that is."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                continue
            found: int = probe.getsockname()[1]
            return found
    raise OSError("no free port")
