"""What the stats service writes: each document once, however many events of a batch change it."""

from __future__ import annotations

from copypro.ports import Upsert
from copypro_stats.batch import merged


def upsert(id: str, version: int, source: str = "a", **fields: object) -> Upsert:
    return Upsert(collection="c", id=id, source=source, version=version, fields=fields)


def gone(id: str, version: int) -> Upsert:
    return Upsert(collection="c", id=id, source="a", version=version, fields=None)


def test_changes_of_one_source_become_one_and_the_later_wins() -> None:
    changes = [upsert("x", 1, name="n", state=1), upsert("y", 2), upsert("x", 3, state=2)]
    assert merged(changes) == [upsert("x", 3, name="n", state=2), upsert("y", 2)]


def test_sources_stay_apart() -> None:
    changes = [upsert("x", 1, one=1), upsert("x", 1, source="b", two=2)]
    assert merged(changes) == changes


def test_nothing_is_laid_under_or_over_a_removal() -> None:
    changes = [upsert("x", 1, one=1), gone("x", 2), upsert("x", 3, two=2)]
    assert merged(changes) == changes
    assert merged([gone("x", 1), upsert("x", 2, one=1), upsert("x", 3, two=2)]) == [
        gone("x", 1),
        upsert("x", 3, one=1, two=2),
    ]
