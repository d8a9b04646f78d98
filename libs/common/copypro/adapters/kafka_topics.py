"""The topics as they must be on a cluster: made once, checked before every start, never edited here.

The number of partitions is fixed when the topics are made: recorded offsets and the place of every
key rest on it, so another number means other topics.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import NoError, TopicAlreadyExistsError, for_code
from msgspec import Struct

from copypro import topics
from copypro.adapters.kafka_client import KafkaLimits
from copypro.errors import LogLayout, LogUnavailable
from copypro.topics import ROLES, TOPICS, Topic

Admin = AIOKafkaAdminClient
KNOWN_S = 30.0
_STATES = frozenset(role.state.name for role in ROLES)


class Found(Struct, frozen=True):
    """A topic as the cluster has it; `partitions` 0: it is not there."""

    partitions: int
    replication: int = 0
    config: Mapping[str, str] = {}


class Layout(Struct, frozen=True):
    cluster: str
    prefix: str
    found: Mapping[str, Found]
    """By our own name of a topic, without the prefix."""

    @property
    def partitions(self) -> int:
        """Of every topic, once `check` has passed."""
        return self.found[topics.ORDER_EVENTS.name].partitions

    def differences(self) -> list[str]:
        """What is not as it must be, a line each; empty: all is well."""
        lines: list[str] = []
        counts = {one.partitions for one in self.found.values() if one.partitions}
        if len(counts) > 1:
            listed = ", ".join(f"{n} {f.partitions}" for n, f in sorted(self.found.items()))
            lines.append(f"all topics need the same number of partitions, there are: {listed}")
        for topic in TOPICS:
            one = self.found[topic.name]
            name = f"{self.prefix}{topic.name}"
            if not one.partitions:
                lines.append(f"{name} is missing")
                continue
            for setting, wanted in config_of(topic).items():
                if setting in _MUST and one.config.get(setting) != wanted:
                    lines.append(f"{name}: {setting} is {one.config.get(setting)}, not {wanted}")
        return lines

    def check(self) -> None:
        """Errors: LogLayout with every difference and the remedy."""
        lines = self.differences()
        if not lines:
            return
        missing = all(line.endswith("is missing") for line in lines)
        remedy = (
            "`copypro topics create` makes them"
            if missing
            else "`copypro topics check` shows this again; topics are never changed by themselves"
        )
        raise LogLayout("the topics are not as they must be: " + "; ".join(lines) + f". {remedy}")


_MUST = ("cleanup.policy", "message.timestamp.type", "max.message.bytes")
"""Without these something would be lost or refused; the rest is an operator's to tune."""


def config_of(topic: Topic) -> dict[str, str]:
    """Facts are kept for ever; what is compacted keeps the latest record of each key. State topics
    roll and clean soon, so that a restore reads little.
    """
    config = {
        "message.timestamp.type": "LogAppendTime",
        "max.message.bytes": str(KafkaLimits().record_bytes),
    }
    if not topic.compacted:
        return {**config, "cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"}
    config["cleanup.policy"] = "compact"
    if topic.name in _STATES:
        config |= {
            "segment.bytes": str(16 * 1024 * 1024),
            "segment.ms": str(3600 * 1000),
            "min.cleanable.dirty.ratio": "0.1",
            "delete.retention.ms": str(3600 * 1000),
        }
    return config


async def create(
    admin: AIOKafkaAdminClient, prefix: str, partitions: int, replication: int
) -> list[str]:
    """Makes what is missing and touches nothing that is there; the names of what it made. Returns
    when the cluster knows them. Errors: LogLayout (some are there with another number of
    partitions: nothing is made), LogUnavailable with the broker's word, TimeoutError.
    """
    there = (await read_layout(admin, prefix)).found.items()
    other = {name: one.partitions for name, one in there if one.partitions not in (0, partitions)}
    if other:
        listed = ", ".join(f"{prefix}{name} {count}" for name, count in sorted(other.items()))
        raise LogLayout(
            f"topics are there with other numbers of partitions than {partitions}: {listed}. Set"
            " COPYPRO_PARTITIONS to theirs; another number is a move to new topics"
        )
    minimum = {"min.insync.replicas": "2"} if replication >= 3 else {}
    wanted = [
        NewTopic(
            f"{prefix}{topic.name}",
            partitions,
            replication,
            topic_configs={**config_of(topic), **minimum},
        )
        for topic in TOPICS
    ]
    answer = await admin.create_topics(wanted, timeout_ms=30_000)
    made = []
    for name, code, *message in answer.topic_errors:
        error = for_code(code)
        if error is NoError:
            made.append(name)
        elif error is not TopicAlreadyExistsError:
            said = message[0] if message and message[0] else error.description
            raise LogUnavailable(f"{name} cannot be made: {error.__name__}: {said}")
    async with asyncio.timeout(KNOWN_S):
        await _until_known(admin, prefix)
    return made


async def _until_known(admin: AIOKafkaAdminClient, prefix: str) -> None:
    """A broker tells of new topics a little later than it makes them."""
    while True:
        layout = await read_layout(admin, prefix)
        if all(one.partitions for one in layout.found.values()):
            return
        await asyncio.sleep(0.05)


async def remove(admin: AIOKafkaAdminClient, prefix: str) -> None:
    """All topics under this prefix of ours, with everything in them."""
    await admin.delete_topics([f"{prefix}{topic.name}" for topic in TOPICS], timeout_ms=30_000)


async def read_layout(admin: AIOKafkaAdminClient, prefix: str) -> Layout:
    names = {f"{prefix}{topic.name}": topic.name for topic in TOPICS}
    cluster = await admin.describe_cluster()
    described = {one["topic"]: one for one in await admin.describe_topics(list(names))}
    there = [name for name in names if described.get(name, {}).get("partitions")]
    configs = await _configs(admin, there)
    found = {
        ours: _found(described[name], configs.get(name, {})) if name in there else Found(0)
        for name, ours in names.items()
    }
    return Layout(str(cluster.get("cluster_id") or ""), prefix, found)


def _found(described: Mapping[str, Any], config: Mapping[str, str]) -> Found:
    parts = described["partitions"]
    return Found(len(parts), min(len(part["replicas"]) for part in parts), config)


async def _configs(admin: AIOKafkaAdminClient, names: Sequence[str]) -> dict[str, dict[str, str]]:
    if not names:
        return {}
    asked = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    found: dict[str, dict[str, str]] = {}
    for answer in await admin.describe_configs(asked):
        for _, _, _, name, entries in answer.resources:
            found[name] = {entry[0]: entry[1] for entry in entries}
    return found
