"""The documents follow from the log alone: not from the order of its topics, the batches in which it
was read, what was read twice, or the process that read it; so a rebuild ends in the same ones.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import pytest
from copypro import messages as m
from copypro import topics
from copypro.adapters.memory_read_models import MemoryReadModels
from copypro.callbacks import Callback
from copypro.envelope import Envelope, encode
from copypro.ports import Outgoing, Record
from copypro.topics import Topic
from copypro.trading import SymbolSpec
from copypro.values import MessageId
from copypro_stats import copiers
from copypro_stats.batch import Parts, batch_of, merged
from copypro_stats.orders import Positioned
from copypro_stats.rebuilding import Replay, differences
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from docs.generating import examples, kinds
from tests.examples import examples as many
from tests.recording import samples
from tests.unit.copying_builders import T0
from tests.unit.test_projections import Log

MOST = 12
"""Events of a topic."""
HOUR = T0.replace(minute=0)
SPEC = examples.whole(SymbolSpec)
DEALS = [
    m.Deal(ticket=ticket, sequence=0, lots=Decimal(1), price=Decimal(2), entry_cost=cost,
           time_broker=datetime(2026, 5, 4, 12))
    for ticket in (8, 9) for cost in (Decimal(0), Decimal(-3))
]  # fmt: skip
FEW: dict[str, Sequence[Any]] = {
    **dict.fromkeys(("account", "root", "registration", "copier", "copy", "attempt"), "aab"),
    **dict.fromkeys(("cause", "code", "refused"), ("", "X", "ALREADY_COPIED")),
    **dict.fromkeys(("last", "final", "pending", "proving"), (False, True)),
    **dict.fromkeys(("stop_loss", "take_profit"), (None, Decimal(1), Decimal(2))),
    **dict.fromkeys(("sent_at_utc", "answered_at_utc", "opened_at_utc"), (None, T0)),
    "callback": (None, examples.whole(Callback)),
    "deal": DEALS,
    "leg": (0, 1, 2),
    "piece": (0, 1),
    "spec": [replace(SPEC, name=name) for name in "ab"],
    "state": [replace(examples.whole(m.Copier), copier=copier) for copier in "ab"],
    "ticket": (7, 8),
    "time_utc": (HOUR, HOUR + timedelta(minutes=15)),
}
"""Values of a field, by its name: so few that events meet at the same documents."""


Kinds = dict[Topic, list[Any]]
"""Messages that may come, by topic."""


def varied(message: Any, chance: Random) -> Any:
    few = [name for name in message.__struct_fields__ if name in FEW]
    return replace(message, **{name: chance.choice(FEW[name]) for name in few})


def all_kinds(topic: Topic) -> list[Any]:
    chance = Random(topic.name)
    made = [one for kind in kinds.members(topic.messages) for one in samples(kind).values()]
    return [varied(one, chance) for one in made for _ in range(8)]


ALL = {topic: all_kinds(topic) for topic in topics.STATS.inputs}
POSITION = [one for one in ALL[topics.ORDER_EVENTS] if isinstance(one, Positioned)]
COPIER = [
    one for one in ALL[topics.COPIER_EVENTS] if isinstance(one, copiers.Changed | m.CopierStopped)
]
ALONE: dict[str, Kinds] = {
    "a position": {topics.ORDER_EVENTS: [one for one in POSITION if one.account == one.root]},
    "copiers": {topics.COPIER_EVENTS: COPIER},
}
"""What is laid over what the same topic told before."""


def as_told(messages: Sequence[Any]) -> Iterator[Any]:
    """What opens while it stands is told as found open; else they may come in any order, also such
    as no account would tell.
    """
    standing: set[tuple[str, str]] = set()
    for message in messages:
        if not isinstance(message, Positioned):
            yield message
            continue
        place = (message.account, message.root)
        if isinstance(message, m.PositionOpened):
            seen = m.Seen.BASELINE if place in standing else m.Seen.LIVE
            yield replace(message, seen=seen)
        else:
            yield message
        (standing.discard if isinstance(message, m.PositionClosed) else standing.add)(place)


def key_of(message: Any) -> str:
    """As its writer has it, where only the last one of each may be left."""
    if isinstance(message, m.SymbolLearned):
        return f"{message.account}/{message.spec.name}"
    if isinstance(message, m.AccountSymbols):
        return f"{message.account}/{message.piece}"
    return str(getattr(message, "account", ""))


@st.composite
def logs(draw: Any, kinds: Kinds) -> list[Outgoing]:
    found = []
    for topic, some in kinds.items():
        messages = draw(st.lists(st.sampled_from(some), max_size=MOST))
        for at, message in enumerate(as_told(messages)):
            id_ = MessageId(f"{topic.name}/{at}")
            cause = draw(st.sampled_from((None, MessageId("a"), MessageId("b"))))
            time = T0 + timedelta(seconds=at)
            envelope = Envelope(id=id_, correlation=id_, cause=cause, time=time, message=message)
            found.append(encode(topic, key_of(message), envelope))
    return found


class Compacted(Log):
    """Of each key of a compacted topic only the last record is left."""

    async def records(
        self, topic: Topic, spans: Mapping[int, tuple[int, int]]
    ) -> AsyncIterator[Sequence[Record]]:
        async for whole in super().records(topic, spans):
            last = {record.key: record for record in whole}
            yield list(last.values()) if topic.compacted else whole


class Stats:
    """The service with its batches and what may become of each."""

    def __init__(self, records: Sequence[Record]) -> None:
        self.models = MemoryReadModels()
        self._parts = Parts(self.models)
        self._left = {topic.name: list[Record]() for topic in topics.STATS.inputs}
        for record in records:
            self._left[record.topic].append(record)

    async def read(self, counts: Sequence[tuple[str, int]], fate: str) -> None:
        """`counts`: so many records of this topic, then of that one."""
        taken = dict.fromkeys(self._left, 0)
        batch: list[Record] = []
        for topic, count in counts:
            first = taken[topic]
            batch += self._left[topic][first : first + count]
            taken[topic] = min(first + count, len(self._left[topic]))
        if fate == "the database was away":
            await batch_of(batch, self._parts)
        if fate == "written before it went away":
            await self.models.upsert(merged((await batch_of(batch, self._parts)).upserts))
        if fate == "died before it wrote":
            await batch_of(batch, self._parts)
        else:
            await self._parts.write(await batch_of(batch, self._parts))
        if fate.startswith("died"):
            self._parts = Parts(self.models, await self.models.reached())
            return
        for topic, count in taken.items():
            del self._left[topic][:count]
        if fate == "another owner":
            self._parts = Parts(self.models, await self.models.reached())


FATES = (
    "committed",
    "another owner",
    "the database was away",
    "written before it went away",
    "died before it wrote",
    "died before it committed",
)
Read = tuple[list[tuple[str, int]], str]


def reads(kinds: Kinds) -> st.SearchStrategy[list[Read]]:
    names = st.sampled_from([topic.name for topic in kinds])
    counts = st.lists(st.tuples(names, st.integers(1, 5)), min_size=1, max_size=8)
    return st.lists(st.tuples(counts, st.sampled_from(FATES)), max_size=12)


@pytest.mark.parametrize("kinds", [ALL, *ALONE.values()], ids=["all", *ALONE])
@many(100)
@given(data=st.data())
def test_however_the_log_was_read_the_documents_are_those_of_a_rebuild(
    kinds: Kinds, data: st.DataObject
) -> None:
    log, read = data.draw(logs(kinds)), data.draw(reads(kinds))

    async def work() -> None:
        whole, compacted = Log(), Compacted()
        compacted.append(*log)
        stats = Stats(whole.append(*log))
        for counts, fate in read:
            await stats.read(counts, fate)
        await stats.read([(topic.name, MOST) for topic in kinds], "committed")
        for kept in (whole, compacted):
            rebuilt = MemoryReadModels()
            await Replay(kept, rebuilt).catch_up()
            assert await differences(stats.models, rebuilt) == []

    asyncio.run(work())
