"""Long answers that many ask for again and again, made once for as long as nothing has changed.

Whether something has is asked of the read models (`ReadModels.revision`), so nobody is ever shown less
than what was visible before he asked; where that is not known, each answer is made anew.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from copypro.ports import ReadModels
from msgspec import Struct

AGE_S = 0.1
"""Answers say how old a proof of life is, in tenths of a second."""
MOST = 200
"""Answers at a time: of a hundred accounts each, about 30 MB."""

MOST_PIECES = 10_000


class _Answer(Struct):
    revision: int
    until: float
    making: asyncio.Task[bytes]


class Remembering:
    def __init__(self, models: ReadModels) -> None:
        self._models = models
        self._answers: OrderedDict[tuple[str, str], _Answer] = OrderedDict()
        self._pieces: OrderedDict[tuple[str, str], tuple[object, msgspec.Raw]] = OrderedDict()

    async def answer(self, call: str, user: str, make: Callable[[], Awaitable[object]]) -> Any:
        """What `make` says, encoded (msgspec.Raw). Errors: its own, to all who asked meanwhile."""
        revision, now = self._models.revision(), asyncio.get_running_loop().time()
        if revision is None:
            return msgspec.Raw(msgspec.json.encode(await make()))
        kept = self._answers.get((call, user))
        if kept is None or kept.revision != revision or kept.until < now or _failed(kept.making):
            kept = _Answer(revision, now + AGE_S, asyncio.create_task(_encoded(make)))
            self._keep((call, user), kept)
        return msgspec.Raw(await asyncio.shield(kept.making))

    def piece(self, call: str, id: str, of: object, make: Callable[[], object]) -> Any:
        """A part of an answer, encoded (msgspec.Raw): the last one, if it was made of the same."""
        kept = self._pieces.get((call, id))
        if kept is None or kept[0] != of:
            kept = (of, msgspec.Raw(msgspec.json.encode(make())))
            self._pieces[call, id] = kept
        self._pieces.move_to_end((call, id))
        if len(self._pieces) > MOST_PIECES:
            self._pieces.popitem(last=False)
        return kept[1]

    def _keep(self, name: tuple[str, str], answer: _Answer) -> None:
        self._answers[name] = answer
        self._answers.move_to_end(name)
        if len(self._answers) > MOST:
            self._answers.popitem(last=False)


async def _encoded(make: Callable[[], Awaitable[object]]) -> bytes:
    return msgspec.json.encode(await make())


def _failed(task: asyncio.Task[Any]) -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)
