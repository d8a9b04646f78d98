"""An operator's replay of a dead letter: the record goes back to its topic as it was."""

from __future__ import annotations

import asyncio

import structlog
from copypro.dead_letters import OpenLetter, open_letters_of, replay
from copypro.errors import BadRecord
from copypro.ports import Clock, EventLog, LogHistory
from pydantic import Field

from copypro_gateway.calls import Calls
from copypro_gateway.wording.answers import OK, Ok
from copypro_gateway.wording.errors import ApiError
from copypro_gateway.wording.parameters import Parameters, Text

logger = structlog.get_logger("gateway")


class ReplayDeadLetter(Parameters):
    """A letter's name, as `copypro dead-letters list` shows it."""

    topic: Text
    partition: int = Field(ge=0, lt=2**31)
    offset: int = Field(ge=0, lt=2**63)


class DeadLetters:
    def __init__(self, log: EventLog, history: LogHistory, clock: Clock) -> None:
        self._log, self._history, self._clock = log, history, clock
        self._one_at_a_time = asyncio.Lock()

    def register(self, calls: Calls) -> None:
        calls.operators(
            "ReplayDeadLetter", ReplayDeadLetter, self.replay, tag="operators", changes=True
        )

    async def replay(self, given: ReplayDeadLetter) -> Ok:
        """Puts back a record that could not be read, durable on return. Errors: 404 for what is no
        open letter (a replayed one is none), 409 for one that holds nothing to put back.
        """
        place = (given.topic, given.partition, given.offset)
        async with self._one_at_a_time:
            letters = await self._open()
            found = next((each for each in letters if each.place == place), None)
            if found is None:
                text = "no open dead letter of this name: `copypro dead-letters list` shows them"
                raise ApiError(404, "UNKNOWN_LETTER", text)
            try:
                again = replay(found.letter, self._clock())
            except BadRecord as error:
                raise ApiError(409, "CANNOT_REPLAY", str(error)) from error
            await self._log.append(again)
        logger.warning("a dead letter was replayed", where="/".join(map(str, place)))
        return OK

    async def _open(self) -> list[OpenLetter]:
        try:
            return await open_letters_of(self._history)
        except BadRecord as error:
            raise ApiError(503, "TOO_OLD", str(error)) from error
