"""A small client of the gateway: for the demo, the commands that change something, and tests."""

from __future__ import annotations

from types import TracebackType
from typing import Any

import aiohttp
from copypro.errors import CopyProError


class RestError(CopyProError):
    """The gateway's own answer: `code` and `message`, and the HTTP status."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.status, self.code, self.message = status, code, message


class Unreachable(CopyProError):
    """No gateway answers at the address."""


class Rest:
    def __init__(self, url: str, key: str | None = None) -> None:
        self.url, self.key = url.rstrip("/"), key
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Rest:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def get(self, path: str, **params: object) -> Any:
        """Errors: RestError, Unreachable."""
        return await self._call("GET", path, params={k: _text(v) for k, v in params.items()})

    async def post(self, path: str, **body: object) -> Any:
        """Errors: RestError, Unreachable."""
        return await self._call("POST", path, json=body)

    async def _call(self, method: str, path: str, **kwargs: Any) -> Any:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30))
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        url = f"{self.url}/{path.lstrip('/')}"
        try:
            async with self._session.request(method, url, headers=headers, **kwargs) as answer:
                is_json = answer.content_type == "application/json"
                body = await answer.json() if is_json else await answer.text()
        except (aiohttp.ClientConnectionError, TimeoutError) as error:
            raise Unreachable(
                f"no gateway answers at {self.url} ({type(error).__name__}):"
                " start `copypro up`, or set COPYPRO_URL"
            ) from None
        if answer.status >= 400:
            found = body if isinstance(body, dict) else {}
            raise RestError(
                answer.status,
                str(found.get("code", answer.status)),
                str(found.get("message", body)),
            )
        return body


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
