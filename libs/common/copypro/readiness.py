"""How a role holds a partition: crash-only, and what keeps it from being ready, for /health/ready."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable
from itertools import islice
from typing import Never

import structlog

from copypro.errors import BadRecord, LogClosed, LogFull, PartitionLost, StoreRefused
from copypro.ports import Partition, Record

logger = structlog.get_logger("copypro")
FIRST_WAIT_S = 1.0
LONGEST_WAIT_S = 60.0
FORGIVEN_AFTER_S = 600.0
"""A failure so long after the last one counts as the first again."""
MOST_NAMED = 3
_AT = "handling "


class Readiness:
    """One per role and process; belongs to its event loop."""

    def __init__(self, role: str, first_wait_s: float = FIRST_WAIT_S) -> None:
        self.role, self._first_wait_s = role, first_wait_s
        self._reasons: dict[int, str] = {}
        self._failures: dict[int, tuple[int, float]] = {}
        self.broke: set[str] = set()
        """The places of records on which this process broke; of several at once any may be the one."""

    def not_ready(self, partition: int, reason: str) -> None:
        self._reasons[partition] = reason

    def ready(self, partition: int) -> None:
        self._reasons.pop(partition, None)

    async def start_over(self, partition: Partition, error: Exception) -> None:
        """After what nobody expected: the partition is given up once a while has passed, twice as
        long each time, so that its next owner restores it and tries again; others go on meanwhile.
        Nothing is skipped (decision 5). The reason names the kind of error and the records only: what
        it says may not be for everybody, and is in the log.
        """
        number, now = partition.number, asyncio.get_running_loop().time()
        times, last = self._failures.get(number, (0, now))
        times = 1 if now - last > FORGIVEN_AFTER_S else times + 1
        self._failures[number] = times, now
        wait_s = min(self._first_wait_s * 2.0 ** min(times - 1, 16), LONGEST_WAIT_S)
        at, broke = places_of(error), type(error).__name__
        self.broke.update(at)
        named = {"at": at} if at else {}
        logger.error(
            "a partition starts over", role=self.role, partition=number, times=times, **named
        )
        with_what = f"{broke} at {' '.join(at)}" if at else broke
        self.not_ready(number, f"failed {times} times, last with {with_what}: see the log")
        try:
            async with asyncio.timeout(wait_s):
                await _until_lost_or_unreadable(partition)
        except (TimeoutError, PartitionLost, LogClosed):
            partition.give_up(f"it broke: {type(error).__name__}")
        finally:
            self.ready(number)

    def reasons(self) -> list[str]:
        """One line for each partition that is not ready; empty: all are."""
        return [
            f"{self.role} partition {number}: {reason}"
            for number, reason in sorted(self._reasons.items())
        ]


def broke_at(error: Exception, records: Iterable[Record]) -> None:
    """Notes on the error which records were being handled: one of them may be what it broke on."""
    for record in islice(records, MOST_NAMED):
        error.add_note(f"{_AT}{record.place}")


def places_of(error: Exception) -> list[str]:
    """The records that were noted, each as topic/partition/offset."""
    notes: list[str] = getattr(error, "__notes__", [])
    return [note.removeprefix(_AT) for note in notes if note.startswith(_AT)]


async def while_owned(
    work: Awaitable[object], partition: Partition, readiness: Readiness, retry_full_s: float
) -> None:
    """Until the partition is not ours any more, or should be taken anew: after any failure of the
    log what `work` had in memory is gone, and the next owner restores it. A full disk, of which the
    log itself speaks, is tried again at its own pace, what nobody expected ever later, and as late what
    a person must set right, which its message names.
    """
    logger = structlog.get_logger(readiness.role)
    try:
        await work
    except LogClosed:
        return
    except (PartitionLost, LogFull) as error:
        logger.warning("partition lost", partition=partition.number, reason=str(error))
        if isinstance(error, LogFull):
            await asyncio.sleep(retry_full_s)
    except StoreRefused as error:
        logger.error("the partition broke", partition=partition.number, reason=str(error))
        await readiness.start_over(partition, error)
    except Exception as error:
        logger.exception("the partition broke", partition=partition.number)
        await readiness.start_over(partition, error)


async def wait_for_upgrade(partition: Partition, newer: BadRecord, readiness: Readiness) -> Never:
    """Takes nothing in any more: this record and all behind it are for whoever owns the partition
    after the upgrade. Errors: PartitionLost and LogClosed, which end it.
    """
    logger.error("not ready: this process is too old for a record", where=str(newer))
    readiness.not_ready(partition.number, str(newer))
    try:
        await _until_lost(partition)
    finally:
        readiness.ready(partition.number)


async def _until_lost(partition: Partition) -> Never:
    """Goes on reading, and drops what it reads: only so is the loss or the log's end noticed. Errors:
    whatever reading breaks on.
    """
    while True:
        await partition.read()
        await asyncio.sleep(
            0
        )  # what lies ready is read without a pause: the others have their turn


async def _until_lost_or_unreadable(partition: Partition) -> Never:
    """Without an end where it cannot be read: its next owner tries."""
    try:
        await _until_lost(partition)
    except (PartitionLost, LogClosed):
        raise
    except Exception:
        logger.exception("the partition cannot be read", partition=partition.number)
    while True:
        await asyncio.Event().wait()
