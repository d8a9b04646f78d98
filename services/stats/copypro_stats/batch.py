"""A batch of records as what is to be written."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence

import msgspec
from copypro.collections import COPIERS, ROOTS
from copypro.envelope import Envelope, decode
from copypro.errors import BadRecord, StoreUnavailable
from copypro.messages import AlertRaised
from copypro.ports import Projected, Record, Upsert
from copypro.readiness import broke_at
from msgspec import Struct

from copypro_stats.history import history_of
from copypro_stats.patch import Fields, Patch
from copypro_stats.pausing import concerns_copiers
from copypro_stats.projections import patches
from copypro_stats.receivers import Posted, posts_of

BUILT_ON = frozenset((ROOTS, COPIERS))
"""Collections of documents that later ones begin with: a close with its root, an ended copier with what
it was.
"""
CACHED = 20_000
"""Documents of them that are kept at hand."""


Place = tuple[str, str, str]
"""A collection, an id and a source."""
ENDED = b"{}"
_encode = msgspec.json.Encoder().encode
_fields = msgspec.json.Decoder(Fields)


class Batch(Struct, frozen=True):
    upserts: list[Upsert] = []
    again: list[Upsert] = []
    """Of records that the documents know already: whatever is newer there stays."""
    built_on: dict[Place, bytes] = {}
    """What later documents begin with, as it is once this is written: its fields as JSON, since a
    dictionary for each open position took more than all else about it.
    """
    unreadable: list[tuple[Record, BadRecord]] = []
    alerts: list[Envelope] = []
    moved: set[str] = set()
    """Accounts whose closed history changed."""
    posts: list[Posted] = []
    """What somebody may want to be told, in the order of the records."""
    for_copiers: list[Envelope] = []
    """What became of their accounts that concerns copiers."""


async def batch_of(records: Sequence[Record], parts: Parts) -> Batch:
    """Errors: BadRecord for a record of a newer version; other unreadable ones are in the batch."""
    batch = Batch()
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
        try:
            await _project(record, envelope, parts, batch)
        except StoreUnavailable:
            raise
        except Exception as error:
            broke_at(error, (record,))
            raise
    return batch


async def _project(record: Record, envelope: Envelope, parts: Parts, batch: Batch) -> None:
    source = source_of(record.topic, record.partition)
    for patch in patches(record, envelope):
        await parts.lay(patch, source, record.offset, batch)
    account = history_of(envelope.message)
    if account is not None:
        batch.moved.add(account)
    if isinstance(envelope.message, AlertRaised):
        batch.alerts.append(envelope)
    batch.posts.extend(posts_of(envelope))
    if concerns_copiers(envelope.message):
        batch.for_copiers.append(envelope)


def source_of(topic: str, partition: int) -> str:
    return f"{topic}/{partition}"


def merged(upserts: Sequence[Upsert]) -> list[Upsert]:
    """One for each document and source, where they only set fields; in the order of their first."""
    latest: dict[tuple[str, str, str], int] = {}
    found: list[Upsert] = []
    for upsert in upserts:
        place = (upsert.collection, upsert.id, upsert.source)
        at = latest.get(place)
        former = found[at].fields if at is not None else None
        if at is None or former is None or upsert.fields is None:
            latest[place] = len(found)
            found.append(upsert)
        else:
            fields = {**former, **upsert.fields}
            found[at] = msgspec.structs.replace(upsert, fields=fields)
    return found


class Parts:
    """Patches as upserts. A patch that builds on another document (a close, on what opened) is given
    that document's fields as they then are: by this batch, else as this process wrote them, else as
    they are stored.

    `reached`: the newest version of each source in the documents, as they were found. Up to there they
    know what came later, too: nothing newer is built on what is read again.
    """

    def __init__(self, documents: Projected, reached: Mapping[str, int] | None = None) -> None:
        self._documents, self._reached = documents, reached or {}
        self._written: OrderedDict[Place, bytes] = OrderedDict()

    async def lay(self, patch: Patch, source: str, offset: int, batch: Batch) -> None:
        fields = patch.fields
        if fields is not None and patch.builds_on is not None:
            under = await self._under((*patch.builds_on, source), batch)
            fields = {**(dict.fromkeys(under) if patch.anew else under), **fields}
        is_known = offset <= self._reached.get(source, -1)
        if patch.collection in BUILT_ON and not is_known:
            batch.built_on[patch.collection, patch.id, source] = _encode(fields or {})
        (batch.again if is_known else batch.upserts).append(
            Upsert(
                collection=patch.collection,
                id=patch.id,
                source=source,
                version=offset,
                fields=fields,
            )
        )

    async def _under(self, place: Place, batch: Batch) -> Fields:
        known = batch.built_on.get(place) or self._written.get(place)
        if known is not None:
            return _fields.decode(known)
        return await self._documents.source_fields(*place) or {}

    async def write(self, batch: Batch) -> None:
        """Errors: as Projected's; what it builds on is then as before, so that it can be made again."""
        await self._documents.upsert([*batch.again, *merged(batch.upserts)])
        for place, fields in batch.built_on.items():
            self._written.pop(place, None)
            if fields != ENDED:
                self._written[place] = fields
        while len(self._written) > CACHED:
            self._written.popitem(last=False)
