"""Read models in memory: for what is projected once, read once and thrown away."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec

from copypro.collections import INDEXED, require_declared
from copypro.errors import StoreRefused
from copypro.ports import Document, Rebuild, Scalar, Upsert

_encode = msgspec.json.Encoder(decimal_format="string").encode
_decode = msgspec.json.Decoder(dict[str, object]).decode
Parts = dict[str, tuple[int, Document | None]]
"""By source: the newest version, and its fields (None: removed)."""


class MemoryReadModels:
    """A ReadModels that ends with its process and cannot be rebuilt."""

    def __init__(self) -> None:
        self._parts: dict[str, dict[str, Parts]] = {name: {} for name in INDEXED}
        self._upserts = 0

    async def upsert(self, changes: Sequence[Upsert]) -> None:
        plain = [(change, _plain(change.fields)) for change in changes]  # all or nothing
        self._upserts += 1
        for change, fields in plain:
            parts = self._parts[change.collection].setdefault(change.id, {})
            version, former = parts.get(change.source, (-1, None))
            if change.version > version:
                laid = None if fields is None else {**(former or {}), **fields}
                parts[change.source] = (change.version, laid)

    async def source_fields(self, collection: str, id: str, source: str) -> Document | None:
        found = self._parts[collection].get(id, {}).get(source)
        return None if found is None or found[1] is None else dict(found[1])

    async def get(self, collection: str, id: str) -> Document | None:
        return _union(id, self._parts[collection].get(id, {}))

    async def get_many(self, collection: str, ids: Collection[str]) -> dict[str, Document]:
        found = {id: await self.get(collection, id) for id in ids}
        return {id: document for id, document in found.items() if document is not None}

    def revision(self) -> int | None:
        return self._upserts

    async def find(
        self,
        collection: str,
        where: Mapping[str, Scalar] | None = None,
        *,
        order_by: str | None = None,
        descending: bool = False,
        since: Scalar = None,
        until: Scalar = None,
        limit: int | None = 1000,
    ) -> list[Document]:
        require_declared(collection, [*(where or {}), *([order_by] if order_by else [])])
        found = [
            document
            for id, parts in self._parts[collection].items()
            if (document := _union(id, parts)) is not None
            and all(
                value is not None and document.get(n) == value for n, value in (where or {}).items()
            )
            and _is_within(document, order_by, since, until)
        ]
        reverse = descending and order_by is not None
        found.sort(key=lambda document: _place(document, order_by), reverse=reverse)
        return found if limit is None else found[:limit]

    async def reached(self) -> Mapping[str, int]:
        found: dict[str, int] = {}
        for collection in self._parts.values():
            for parts in collection.values():
                for source, (version, _) in parts.items():
                    found[source] = max(version, found.get(source, version))
        return found

    async def rebuild(self) -> Rebuild:
        raise StoreRefused("read models in memory are made once")

    async def close(self) -> None:
        """There is nothing to keep."""


def _plain(fields: Document | None) -> Document | None:
    return None if fields is None else _decode(_encode(fields))  # type: ignore[return-value]


def _union(id: str, parts: Parts) -> Document | None:
    known = [fields for _, (_, fields) in sorted(parts.items()) if fields is not None]
    if not known:
        return None
    document: Document = {}
    for fields in known:
        document.update(fields)
    return document | {"id": id}


def _is_within(document: Document, field: str | None, since: Scalar, until: Scalar) -> bool:
    value = document.get(field) if field else None
    if since is not None and not (value is not None and value >= since):  # type: ignore[operator]
        return False
    return until is None or (value is not None and value < until)  # type: ignore[operator]


def _place(document: Document, field: str | None) -> tuple[bool, Any, str]:
    """What lacks the field comes first; equals by id."""
    value = document.get(field) if field else None
    return value is not None, value, str(document["id"])
