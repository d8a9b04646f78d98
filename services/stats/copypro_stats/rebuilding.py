"""Read models made anew from the whole log, beside the live ones, and two sets of them compared."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import msgspec
from copypro import topics
from copypro.collections import INDEXED, TRADE_STATS
from copypro.dead_letters import Place, place_of
from copypro.errors import StoreRefused
from copypro.ports import LogHistory, Projected, ReadModels
from copypro.readiness import places_of
from copypro.setting_aside import marked
from copypro.topics import Topic

from copypro_stats.batch import Parts, batch_of, source_of
from copypro_stats.keeper import SOURCE as KEPT

LAST_PASS = 500
"""Records that came meanwhile: so few are caught up with in a moment, while the writers wait."""


async def rebuild(
    history: LogHistory, models: ReadModels, set_aside: Collection[Place] = ()
) -> int:
    """How many records they were made from. Readers see the former documents or these, whole.
    `set_aside`: records that an operator named, to be left out where this breaks on them.

    Errors: StoreRefused (records are missing at the log's beginning, the live ones have seen more than
    this log holds, another rebuild was begun), BadRecord (newer), StoreUnavailable: the live ones go on.
    """
    aside: set[Place] = set()
    while True:
        try:
            return await _rebuilt(history, models, aside)
        except Exception as error:
            broke = {place_of(name) for name in places_of(error)} & set(set_aside) - aside
            if not broke:
                raise
            aside |= broke


async def _rebuilt(history: LogHistory, models: ReadModels, set_aside: Collection[Place]) -> int:
    new = await models.rebuild()
    try:
        replay = Replay(history, new, set_aside)
        while await replay.catch_up() > LAST_PASS:
            pass
        held = await new.hold()
        await replay.catch_up()
        replay.require(held)
        await new.switch()
    except BaseException:
        await new.discard()
        raise
    return replay.records


class Replay:
    """The log's history into documents, from its first record on."""

    def __init__(
        self, history: LogHistory, documents: Projected, set_aside: Collection[Place] = ()
    ) -> None:
        self._history, self._set_aside = history, set_aside
        self._parts = Parts(documents)
        self._reached: dict[tuple[str, int], int] = {}
        self.records = 0

    async def catch_up(self) -> int:
        """Up to what is durable now; how many records that were."""
        before = self.records
        for topic in topics.STATS.inputs:
            spans: dict[int, tuple[int, int]] = {}
            for partition, (first, end) in (await self._history.spans(topic)).items():
                known = self._reached.setdefault((topic.name, partition), 0)
                _require_whole(topic, partition, known, first)
                if max(known, first) < end:
                    spans[partition] = (max(known, first), end)
            if spans:
                await self._project(topic, spans)
        return self.records - before

    async def _project(self, topic: Topic, spans: Mapping[int, tuple[int, int]]) -> None:
        async for records in self._history.records(topic, spans):
            batch = await batch_of(marked(records, self._set_aside), self._parts)
            await self._parts.write(batch)
            self.records += len(records)
        for partition, (_, end) in spans.items():
            self._reached[topic.name, partition] = end

    def require(self, versions: Mapping[str, int]) -> None:
        """Errors: StoreRefused where a source is known further than this has come."""
        reached = {source_of(*place): end for place, end in self._reached.items()}
        for source, version in versions.items():
            if source != KEPT and version >= reached.get(source, 0):
                raise StoreRefused(
                    f"the live read models have seen {source} up to {version}, but the log ends at"
                    f" {reached.get(source, 0)}: is this another installation's log?"
                )


def _require_whole(topic: Topic, partition: int, known: int, first: int) -> None:
    if first > known and not topic.compacted:
        raise StoreRefused(
            f"{topic.name}/{partition} has lost its records up to {first}: what is made from the rest"
            " would lack what they said"
        )


async def canonical(models: ReadModels) -> dict[str, bytes]:
    """Every document by collection and id, as JSON with sorted names: equal bytes, equal documents."""
    found: dict[str, bytes] = {}
    for collection in INDEXED.keys() - {TRADE_STATS}:  # kept to spare work, made anew on demand
        for document in await models.find(collection, limit=None):
            name = f"{collection}/{document['id']}"
            found[name] = msgspec.json.encode(document, order="sorted")
    return found


async def differences(one: ReadModels, other: ReadModels) -> list[str]:
    """The documents that are not the same byte for byte, each with both sides."""
    left, right = await canonical(one), await canonical(other)
    return [
        f"{name}: {left.get(name, b'absent').decode()} | {right.get(name, b'absent').decode()}"
        for name in sorted(left.keys() | right.keys())
        if left.get(name) != right.get(name)
    ]
