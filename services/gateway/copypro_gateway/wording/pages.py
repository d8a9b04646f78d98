"""Long lists in bounded pages, newest first, that say so when there is more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar

from copypro.ports import ReadModels, Scalar
from msgspec import Struct

Doc = dict[str, Any]
Row = TypeVar("Row")
NEXT_TO = "X-Next-To"
"""The response header of a page that is not the last: `to` of the next one."""
MOST_AT_ONCE = 100_000
"""Rows of one and the same moment: a page is never cut between them."""


class Page(Struct, Generic[Row], frozen=True):
    rows: Sequence[Row]
    next_to: str | None = None
    """Everything older than this is left out; None: nothing is."""

    def headers(self) -> dict[str, str]:
        return {} if self.next_to is None else {NEXT_TO: self.next_to}


async def newest(
    models: ReadModels,
    collection: str,
    where: Mapping[str, Scalar],
    field: str,
    *,
    since: str | None,
    until: str | None,
    limit: int,
) -> Page[Doc]:
    """The newest `limit` documents by `field`, and those of the same moment as the last of them, so that
    `until` = `next_to` goes on without a gap or a repeat.
    """
    rows = await models.find(
        collection,
        where,
        order_by=field,
        descending=True,
        since=since,
        until=until,
        limit=limit + 1,
    )
    if len(rows) <= limit:
        return Page(rows)
    cut = str(rows[limit - 1][field])
    newer = [row for row in rows if str(row[field]) > cut]
    together = await models.find(
        collection,
        where,
        order_by=field,
        descending=True,
        since=cut,
        until=f"{cut}~",  # texts of fixed width: only the very same moment is below it
        limit=MOST_AT_ONCE,
    )
    page = [*newer, *together]
    older = await models.find(collection, where, order_by=field, since=since, until=cut, limit=1)
    return Page(page, cut if older else None)
