"""What users tried and did not get, for an operator: from the newest lines of the audit trail.

Secrets are not in it: the trail itself has them masked. Of a call that has no outcome there nobody
knows whether it failed; one whose parameters could not be read was never let in.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Sequence

from copypro import collections as c
from copypro import topics
from copypro.envelope import Envelope, decode
from copypro.errors import BadRecord
from copypro.messages import CallBegun, CallEnded
from copypro.ports import LogHistory, ReadModels
from copypro.values import MessageId
from pydantic import Field

from copypro_gateway.calls import Calls
from copypro_gateway.core import Doc
from copypro_gateway.subjects.managing import Pages, page_of
from copypro_gateway.wording.answers import FailedCall
from copypro_gateway.wording.errors import DENIED_STATUS, ApiError
from copypro_gateway.wording.parameters import Text

NEWEST = 10_000
"""Lines of the trail that are looked at, two of them a call: further back, `copypro audit export`."""
ADDING = frozenset({"AddAccount"})
STARTING = frozenset({"Start", "StartByAccountId"})
REFUSED = 400
Ended = tuple[Envelope, Envelope]
"""A CallBegun and its CallEnded."""


class FailedOf(Pages):
    user_id: Text = Field(description="of one user, by the id that GetUserByEmail gives")


class FailedCalls:
    def __init__(self, history: LogHistory, models: ReadModels, newest: int = NEWEST) -> None:
        self._history, self._models, self._newest = history, models, newest
        self._one_at_a_time = asyncio.Lock()

    def register(self, calls: Calls) -> None:
        tag = "operators"
        calls.operators("Manager/UserFailedAddAccounts", FailedOf, self.adding, tag=tag)
        calls.operators("Manager/UserFailedStarts", FailedOf, self.starting, tag=tag)

    async def adding(self, given: FailedOf) -> list[FailedCall]:
        """AddAccount calls that were refused, newest first. An account that was taken, and whose
        password its broker refused later, is in Manager/UserAccounts with its connectError.
        """
        return await self._page(given, ADDING)

    async def starting(self, given: FailedOf) -> list[FailedCall]:
        """Start and StartByAccountId calls that were refused, newest first."""
        return await self._page(given, STARTING)

    async def _page(self, given: FailedOf, names: Collection[str]) -> list[FailedCall]:
        async with self._one_at_a_time:
            ended = ended_calls(await self._trail(), given.user_id, names)
        later = [event.message.command for _, event in ended if event.message.command]
        answers = await self._models.get_many(c.COMMANDS, later)
        failed = [row for pair in ended if (row := failed_call(*pair, answers)) is not None]
        return list(page_of(failed, given, _text_of))

    async def _trail(self) -> list[Envelope]:
        """The newest lines, in order. Errors: 503 for one of a newer version."""
        spans = {
            number: (max(first, end - self._newest), end)
            for number, (first, end) in (await self._history.spans(topics.AUDIT)).items()
        }
        batches = self._history.records(topics.AUDIT, spans)
        try:
            return [decode(record) async for batch in batches for record in batch]
        except BadRecord as error:
            raise ApiError(503, "TOO_OLD", str(error)) from error


def ended_calls(trail: Iterable[Envelope], user: str, names: Collection[str]) -> Sequence[Ended]:
    """The user's calls of these names whose outcome is known, the one that ended last first."""
    begun: dict[MessageId | None, Envelope] = {}
    found: list[Ended] = []
    for event in trail:
        match event.message:
            case CallBegun(call=call, user=by) if by == user and call in names:
                begun[event.id] = event
            case CallEnded() if event.cause in begun:
                found.append((begun[event.cause], event))
    return found[::-1]


def failed_call(begun: Envelope, ended: Envelope, answers: dict[str, Doc]) -> FailedCall | None:
    """None: it was not refused, at once or (202) by its command's answer later."""
    call, outcome = begun.message, ended.message
    status, code = outcome.status, outcome.code
    denied = answers.get(outcome.command, {}).get("code")
    if denied is not None:
        status, code = DENIED_STATUS.get(str(denied), 409), str(denied)
    if status < REFUSED:
        return None
    return {
        "id": begun.id,
        "timeUTC": begun.time.isoformat(),
        "call": call.call,
        "userId": call.user,
        "keyName": call.key_name,
        "address": call.address,
        "status": status,
        "code": code,
        "parameters": call.parameters,
    }


def _text_of(row: FailedCall) -> str:
    return " ".join((row["call"], row["code"], row["address"], *row["parameters"].values()))
