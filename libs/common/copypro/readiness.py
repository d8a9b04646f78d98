"""What keeps partitions of a role from being ready: told by the role's loop, shown by /health/ready."""

from __future__ import annotations

from typing import Never

import structlog

from copypro.errors import BadRecord
from copypro.ports import Partition

logger = structlog.get_logger("copypro")


class Readiness:
    """One per role and process; belongs to its event loop."""

    def __init__(self, role: str) -> None:
        self._role = role
        self._reasons: dict[int, str] = {}

    def not_ready(self, partition: int, reason: str) -> None:
        self._reasons[partition] = reason

    def ready(self, partition: int) -> None:
        self._reasons.pop(partition, None)

    def reasons(self) -> list[str]:
        """One line for each partition that is not ready; empty: all are."""
        return [
            f"{self._role} partition {number}: {reason}"
            for number, reason in sorted(self._reasons.items())
        ]


async def wait_for_upgrade(partition: Partition, newer: BadRecord, readiness: Readiness) -> Never:
    """Takes nothing in any more: this record and all behind it are for whoever owns the partition
    after the upgrade. Goes on reading, and drops what it reads, only to notice that the partition
    was lost or the log closed: those errors end it.
    """
    logger.error("not ready: this process is too old for a record", where=str(newer))
    readiness.not_ready(partition.number, str(newer))
    try:
        while True:
            await partition.read()
    finally:
        readiness.ready(partition.number)
