"""A batch of records as what is to be written."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from copypro.collections import ROOTS
from copypro.envelope import Envelope, decode
from copypro.errors import BadRecord
from copypro.messages import AlertRaised
from copypro.ports import Projected, Record, Upsert
from msgspec import Struct

from copypro_stats.projections import Fields, Patch, history_of, patches

CACHED = 20_000
"""Open roots that are kept at hand: their closes build on them."""


class Batch(Struct, frozen=True):
    upserts: list[Upsert]
    unreadable: list[tuple[Record, BadRecord]]
    alerts: list[Envelope]
    moved: set[str]
    """Accounts whose closed history changed."""


async def batch_of(records: Sequence[Record], parts: Parts) -> Batch:
    """Errors: BadRecord for a record of a newer version; other unreadable ones are in the batch."""
    batch = Batch([], [], [], set())
    for record in records:
        if record.value is None:
            continue
        try:
            envelope = decode(record)
        except BadRecord as error:
            if error.newer:
                raise
            batch.unreadable.append((record, error))
            continue
        source = source_of(record.topic, record.partition)
        for patch in patches(record, envelope):
            batch.upserts.append(await parts.upsert(patch, source, record.offset))
        account = history_of(envelope.message)
        if account is not None:
            batch.moved.add(account)
        if isinstance(envelope.message, AlertRaised):
            batch.alerts.append(envelope)
    return batch


def source_of(topic: str, partition: int) -> str:
    return f"{topic}/{partition}"


class Parts:
    """Patches as upserts. A patch that builds on another document (a close, on what opened) is given
    that document's fields: from memory where this process wrote them, else from where they are stored.
    """

    def __init__(self, documents: Projected) -> None:
        self._documents = documents
        self._roots: OrderedDict[tuple[str, str], Fields] = OrderedDict()

    async def upsert(self, patch: Patch, source: str, offset: int) -> Upsert:
        fields = patch.fields
        if patch.collection == ROOTS:
            self._keep(patch.id, source, fields)
        if fields is not None and patch.builds_on is not None:
            fields = {**await self._under(*patch.builds_on, source), **fields}
        return Upsert(
            collection=patch.collection,
            id=patch.id,
            source=source,
            version=offset,
            fields=fields,
        )

    async def _under(self, collection: str, id: str, source: str) -> Fields:
        known = self._roots.get((id, source))
        if known is not None:
            return known
        return await self._documents.source_fields(collection, id, source) or {}

    def _keep(self, id: str, source: str, fields: Fields | None) -> None:
        if fields is None:
            self._roots.pop((id, source), None)
            return
        self._roots[id, source] = fields
        if len(self._roots) > CACHED:
            self._roots.popitem(last=False)
