"""Read models made anew from the whole log, beside the live ones, and two sets of them compared."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import msgspec
import structlog
from copypro import topics
from copypro.collections import INDEXED, TRADE_STATS
from copypro.dead_letters import Place, place_of
from copypro.errors import CopyProError, LogCorrupt, StoreRefused
from copypro.ports import LogHistory, Projected, ReadModels
from copypro.readiness import Readiness, places_of
from copypro.setting_aside import marked
from copypro.topics import Topic

from copypro_stats.batch import Parts, batch_of, source_of
from copypro_stats.keeper import SOURCE as KEPT

logger = structlog.get_logger("stats")
LAST_PASS = 500
"""Records that came meanwhile: so few are caught up with in a moment, while the writers wait."""


async def follow_the_log(
    history: LogHistory,
    models: ReadModels,
    readiness: Readiness,
    set_aside: Collection[Place] = (),
) -> None:
    """Before anything is projected: read models that are not this log's are made anew from it. What they
    hide, or lack, would never show otherwise. Where that fails, the log says so, and they stay as they are.

    For a log in one file beside them, of which nothing is ever lost but by going back to an older one.
    """
    try:
        why = await _strayed(history, models)
        if not why:
            return
        logger.warning("what REST shows is made anew from the log", because=why)
        readiness.not_ready(0, "what REST shows is being made anew from the log")
        records = await rebuild(history, models, set_aside, older_log=True)
    except LogCorrupt:
        raise
    except Exception as error:
        logger.error(
            "what REST shows may not be what the log says: once this is mended, run"
            " `copypro rebuild stats --older-log`",
            reason=f"{type(error).__name__}: {error}",
            exc_info=not isinstance(error, CopyProError),
        )
    else:
        logger.info("what REST shows was made anew from the log", records=records)
    finally:
        readiness.ready(0)


async def _strayed(history: LogHistory, models: ReadModels) -> str:
    """Why these read models are not this log's; empty: nothing says so."""
    ends = {
        source_of(topic.name, partition): end
        for topic in topics.STATS.inputs
        for partition, (_, end) in (await history.spans(topic)).items()
    }
    reached = _projected(await models.reached())
    if any(ends.values()) and not reached:
        return "there is nothing of it in the read models"
    beyond = _beyond(reached, ends)
    return f"{beyond}: it was brought back from an older state" if beyond else ""


async def rebuild(
    history: LogHistory,
    models: ReadModels,
    set_aside: Collection[Place] = (),
    *,
    older_log: bool = False,
) -> int:
    """How many records they were made from. Readers see the former documents or these, whole.
    `set_aside`: records that an operator named, to be left out where this breaks on them; `older_log`:
    the log was brought back from an older backup, so that the live ones may have seen more of it.

    Errors: StoreRefused (records are missing at the log's beginning, the live ones have seen more than
    this log holds, another rebuild was begun), BadRecord (newer), StoreUnavailable: the live ones go on.
    """
    aside: set[Place] = set()
    while True:
        try:
            return await _rebuilt(history, models, aside, older_log=older_log)
        except Exception as error:
            broke = {place_of(name) for name in places_of(error)} & set(set_aside) - aside
            if not broke:
                raise
            aside |= broke


async def _rebuilt(
    history: LogHistory, models: ReadModels, set_aside: Collection[Place], *, older_log: bool
) -> int:
    new = await models.rebuild()
    try:
        replay = Replay(history, new, set_aside)
        while await replay.catch_up() > LAST_PASS:
            pass
        held = await new.hold()
        await replay.catch_up()
        if not older_log:
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
        beyond = _beyond(_projected(versions), reached)
        if beyond:
            raise StoreRefused(
                f"{beyond}: is this another installation's log? If it was brought back from an older"
                " backup: `copypro rebuild stats --older-log`"
            )


def _projected(versions: Mapping[str, int]) -> dict[str, int]:
    """Without what is no topic's."""
    return {source: version for source, version in versions.items() if source != KEPT}


def _beyond(versions: Mapping[str, int], ends: Mapping[str, int]) -> str:
    """The first source of which more was seen than the log holds; empty: there is none."""
    for source, version in sorted(versions.items()):
        end = ends.get(source, 0)
        if version >= end:
            return f"the live read models have seen {source} up to {version}, but the log ends at {end}"
    return ""


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
