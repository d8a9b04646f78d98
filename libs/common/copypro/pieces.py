"""Long work on a loop that also trades: in pieces, and in between whatever waits has its turn."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import TypeVar

PIECE = 50
"""About a millisecond or two of making figures."""
Thing = TypeVar("Thing")


async def in_pieces(things: Sequence[Thing]) -> AsyncIterator[Sequence[Thing]]:
    for at in range(0, len(things), PIECE):
        yield things[at : at + PIECE]
        await asyncio.sleep(0)
