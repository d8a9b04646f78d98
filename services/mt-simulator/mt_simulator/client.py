"""The simulator's control API from Python, in this process or another.

    control = SimulatorControl("http://127.0.0.1:5005")
    await control.quote("Demo-MT5", "EURUSD", "1.1000", "1.1001")
    ticket = await control.open("Demo-MT5", 1001, "EURUSD", "Buy", "0.10")

Every public method of `mt_simulator.control.Control` is a method here, with the same arguments.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any

import aiohttp


class Refused(Exception):
    """The broker refused the owner's hand; the code is its own."""


class SimulatorControl:
    def __init__(self, url: str) -> None:
        self._url = f"{url.rstrip('/')}/control"
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> SimulatorControl:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        if name.startswith("_"):
            raise AttributeError(name)
        names = _positional(name)

        async def call(*args: Any, **kwargs: Any) -> Any:
            return await self._call(name, dict(zip(names, args, strict=False)) | kwargs)

        return call

    async def _call(self, name: str, args: dict[str, Any]) -> Any:
        if self._session is None:
            self._session = aiohttp.ClientSession()
        body = {"call": name, "args": args}
        async with self._session.post(self._url, json=body) as response:
            answer = await response.json()
            if response.status == 409:
                raise Refused(answer["refused"])
            if response.status != 200:
                raise ValueError(answer.get("error", response.status))
            return answer


def _positional(name: str) -> list[str]:
    from mt_simulator.control import Control

    method = getattr(Control, name)
    code = method.__code__
    return list(code.co_varnames[1 : code.co_argcount])
