"""Documents as MongoDB keeps them, and changes as updates that it computes itself. Pure.

    {_id, parts: {source: {version, fields}}, index: {declared fields of the union} or null}

`fields` null is what a removed part leaves behind: its version, so that a repeat does not bring it
back. `index` null: no part has fields, the document is not there. The union itself is made when it is
read, so a document is stored once and may come near MongoDB's 16 MB.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, cast

import msgspec
from bson.binary import USER_DEFINED_SUBTYPE, Binary
from pymongo import UpdateOne

from copypro.collections import INDEXED
from copypro.ports import Document, Upsert

Stored = dict[str, Any]
STAGES = 100
"""Most changes of one document in one update; the server takes 1,000."""
UPDATE_BYTES = 1_000_000
"""Changes of one document that are larger become updates of their own, each below the 16 MB."""
_encode = msgspec.json.Encoder(decimal_format="string").encode
_decode = msgspec.json.Decoder(dict[str, Any]).decode
_UNLIKE_BSON = re.compile(rb'"\$ref"|\\u0000|\d{19}')
"""Names that the driver reads as something else or cannot write, and integers beyond 64 bits."""


def key_of(source: str) -> str:
    """A name without dots and dollars that sorts as the source's own does."""
    return source.replace(".", "-\U0010ffff").replace("$", "#\U0010ffff")


def source_of(key: str) -> str:
    return key.replace("-\U0010ffff", ".").replace("#\U0010ffff", "$")


def stored(fields: Document) -> tuple[Stored, int]:
    """As JSON has them, so that every store gives back the same, and about how many bytes.

    A top-level field that BSON cannot hold as it is, is kept as JSON.
    """
    text = _encode(fields)
    plain = _decode(text)
    if _UNLIKE_BSON.search(text):
        plain = {name: _kept(value) for name, value in plain.items()}
    return plain, len(text)


def _kept(value: Any) -> Any:
    text = _encode(value)
    is_plain = isinstance(value, str | float) or not _UNLIKE_BSON.search(text)
    return value if is_plain else Binary(text, USER_DEFINED_SUBTYPE)


def union(row: Stored) -> Document | None:
    """The fields of all sources, laid over each other in the order of the sources' names."""
    parts: dict[str, Stored] = {source_of(key): part for key, part in row["parts"].items()}
    laid = [part["fields"] for _, part in sorted(parts.items()) if part["fields"] is not None]
    if not laid:
        return None
    document: Document = {}
    for fields in laid:
        document |= fields
    document["id"] = cast(str, row["_id"])
    return document


def updates(changes: Iterable[Upsert]) -> dict[str, list[UpdateOne]]:
    """By collection, in order; what one document is told in a row becomes one update."""
    found: dict[tuple[str, str], list[_Update]] = {}
    for change in changes:
        of_document = found.setdefault((change.collection, change.id), [])
        stage, size = _stage(change)
        if not of_document or not of_document[-1].takes(size):
            of_document.append(_Update())
        of_document[-1].add(stage, size)
    made: dict[str, list[UpdateOne]] = {}
    for (collection, id_), of_document in found.items():
        for update in of_document:
            pipeline = [*update.stages, _INDEX[collection]]
            operation = UpdateOne({"_id": id_}, pipeline, upsert=True)
            made.setdefault(collection, []).append(operation)
    return made


class _Update:
    def __init__(self) -> None:
        self.stages: list[Stored] = []
        self._bytes = 0

    def takes(self, size: int) -> bool:
        return len(self.stages) < STAGES and self._bytes + size < UPDATE_BYTES

    def add(self, stage: Stored, size: int) -> None:
        self.stages.append(stage)
        self._bytes += size


def _stage(change: Upsert) -> tuple[Stored, int]:
    """Lays the change over its source's part, if it is newer than that."""
    name = f"parts.{key_of(change.source)}"
    kept = f"${name}"
    fields: Any = None
    size = 0
    if change.fields is not None:
        plain, size = stored(change.fields)
        fields = {"$mergeObjects": [f"{kept}.fields", {"$literal": plain}]}
    newer = {"version": change.version, "fields": fields}
    is_known = {"$gte": [f"{kept}.version", change.version]}
    return {"$set": {name: {"$cond": [is_known, kept, newer]}}}, size


def _index_stage(names: Sequence[str]) -> Stored:
    declared = {name: f"$$this.v.fields.{name}" for name in names}
    in_order = {"$sortArray": {"input": {"$objectToArray": "$parts"}, "sortBy": {"k": 1}}}
    laid_over = {"$mergeObjects": ["$$value", declared]}
    reduced = {
        "input": in_order,
        "initialValue": None,
        "in": {"$cond": ["$$this.v.fields", laid_over, "$$value"]},
    }
    return {"$set": {"index": {"$reduce": reduced}}}


_INDEX = {collection: _index_stage(names) for collection, names in INDEXED.items()}
