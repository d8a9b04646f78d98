"""Which process owns which partition number: as few as possible move when a process comes or goes.

The topics of a role are co-partitioned, so a number means that partition of every topic. Each number
goes to the member that scores highest for it (rendezvous hashing) and still has room.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b

from aiokafka.cluster import ClusterMetadata
from aiokafka.coordinator.assignors.abstract import AbstractPartitionAssignor
from aiokafka.coordinator.protocol import (
    ConsumerProtocolMemberAssignment,
    ConsumerProtocolMemberMetadata,
)


def owners(members: Sequence[str], numbers: Sequence[int]) -> dict[int, str]:
    """An owner for each partition number; no member has more than its share, rounded up.

    Pure: the same members and numbers give the same owners, whatever their order.
    """
    room = -(-len(numbers) // len(members))
    taken: Counter[str] = Counter()
    chosen: dict[int, str] = {}
    for number in sorted(numbers):
        ranked = sorted(members, key=lambda member: _score(member, number), reverse=True)
        chosen[number] = next(member for member in ranked if taken[member] < room)
        taken[chosen[number]] += 1
    return chosen


def _score(member: str, number: int) -> bytes:
    return blake2b(f"{member}|{number}".encode(), digest_size=8).digest()


class PartitionNumbers(AbstractPartitionAssignor):  # type: ignore[misc]
    name = "copypro-numbers"
    version = 0

    @classmethod
    def assign(
        cls, cluster: ClusterMetadata, members: Mapping[str, ConsumerProtocolMemberMetadata]
    ) -> dict[str, ConsumerProtocolMemberAssignment]:
        topics = sorted({topic for one in members.values() for topic in one.subscription})
        known = [cluster.partitions_for_topic(topic) or set() for topic in topics]
        numbers = sorted(set.intersection(*known)) if known else []
        chosen = owners(sorted(members), numbers)
        return {
            member: ConsumerProtocolMemberAssignment(
                cls.version,
                [(topic, [n for n in numbers if chosen[n] == member]) for topic in topics],
                b"",
            )
            for member in members
        }

    @classmethod
    def metadata(cls, topics: Iterable[str]) -> ConsumerProtocolMemberMetadata:
        return ConsumerProtocolMemberMetadata(cls.version, list(topics), b"")

    @classmethod
    def on_assignment(cls, assignment: ConsumerProtocolMemberAssignment) -> None:
        """Nothing is remembered between assignments."""
