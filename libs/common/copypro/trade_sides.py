"""Whose trades a trade log is about: the accounts of its copier, as they are registered now.

Used by whoever lists trade logs and by whoever posts them, so that both say the same.
"""

from __future__ import annotations

from collections.abc import Collection

from copypro import collections as c
from copypro.ports import ReadModels
from copypro.trade_logs import Doc, Sides


async def sides_of(models: ReadModels, owners: Collection[str]) -> dict[str, Sides]:
    """By owner, which is what a trade log has as its copier: a copier, or the slave's registration
    where an equity protector closed what no copier had opened. Two reads, however many they are.
    """
    copiers = await models.get_many(c.COPIERS, owners)
    linked = {owner: _linked(owner, copiers.get(owner)) for owner in owners}
    named = {id for pair in linked.values() for id in pair if id}
    known = await models.get_many(c.REGISTRATIONS, named)
    return {
        owner: Sides(master=known.get(master, {}), slave=known.get(slave, {}))
        for owner, (master, slave) in linked.items()
    }


def _linked(owner: str, copier: Doc | None) -> tuple[str, str]:
    """The ids of both registrations."""
    if copier is None:
        return "", owner
    return str(copier["master_registration"]), str(copier["slave_registration"])
