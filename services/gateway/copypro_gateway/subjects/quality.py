"""What only a copier knows, by copier, slave, broker, symbol, hour and month; kept until what it was
made of moves.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Literal, cast

import msgspec
from copypro.copy_history import MOST, Version, copiers_of, quality_of, version_of
from copypro.quality.answers import CopiersQuality
from copypro.values import UserId
from pydantic import AliasChoices, Field

from copypro_gateway.calls import Calls
from copypro_gateway.core import Core, Doc
from copypro_gateway.wording.errors import bad
from copypro_gateway.wording.parameters import Parameters, Text, utc_of

MOST_BYTES = 16_000_000
"""Of answers that are kept; the one that was not asked for longest goes first."""


class CopyQuality(Parameters):
    """Of one copier, of all in which an account is master or slave, or of all of the user's."""

    copier_id: Text | None = Field(
        None, validation_alias=AliasChoices("copierId", "copier_id", "id")
    )
    account_id: Text | None = Field(
        None, validation_alias=AliasChoices("accountId", "account_id", "apiId")
    )
    group_by: Literal["copier", "slave", "broker", "symbol", "hour", "month"] | None = None
    from_: Text | None = Field(None, alias="from", description="UTC, by when it was decided")
    to: Text | None = Field(None, description="UTC, exclusive")


Question = tuple[tuple[str, ...], str | None, str, str | None]
Versions = list[Version]


class Quality:
    def __init__(self, core: Core) -> None:
        self._core = core
        self._made: OrderedDict[Question, tuple[Versions, bytes]] = OrderedDict()
        self._bytes = 0

    def register(self, calls: Calls) -> None:
        calls.by_id("CopyQuality", CopyQuality, self.answer, tag="statistics")

    async def answer(self, user: UserId | None, given: CopyQuality) -> CopiersQuality:
        """What only a copier knows: share copied, latency, slippage, costs, what refusals missed, growth
        of master and slave side by side; in total and by group.
        """
        since, until = utc_of("from", given.from_) or "", utc_of("to", given.to)
        copiers = await self._copiers(user, given)
        for copier in copiers:
            for role in ("master", "slave"):
                await self._core.readable(None, str(copier[f"{role}_registration"]))
        ids = tuple(str(copier["id"]) for copier in copiers)
        question: Question = (ids, given.group_by, since, until)
        versions = [await version_of(self._core.models, copier) for copier in copiers]
        known = self._made.get(question)
        if known is not None and known[0] == versions:
            self._made.move_to_end(question)
            return _encoded(known[1])
        made = await quality_of(self._core.models, copiers, given.group_by, since, until)
        if made is None:
            raise bad("from", f"there are more than {MOST:,} decisions: ask for a shorter time")
        answer = msgspec.json.encode(made)
        self._keep(question, versions, answer)
        return _encoded(answer)

    async def _copiers(self, user: UserId | None, given: CopyQuality) -> Sequence[Doc]:
        if given.copier_id is not None:
            return [await self._core.copier(user, given.copier_id)]
        if given.account_id is not None:
            registration = await self._core.readable(user, given.account_id)
            found = await copiers_of(self._core.models, registration)
            return [doc for doc in found if doc["user"] == registration["user"]]
        if user is None:
            raise bad("copierId", "give copierId or accountId, or a key for all of your copiers")
        return await self._core.copiers_of(user)

    def _keep(self, question: Question, versions: Versions, answer: bytes) -> None:
        _, former = self._made.pop(question, (None, b""))
        self._made[question] = versions, answer
        self._bytes += len(answer) - len(former)
        while self._bytes > MOST_BYTES and len(self._made) > 1:
            _, (_, gone) = self._made.popitem(last=False)
            self._bytes -= len(gone)


def _encoded(answer: bytes) -> CopiersQuality:
    return cast(CopiersQuality, msgspec.Raw(answer))
