"""Every service as processes of its own on one Kafka and one MongoDB."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
from copypro import topics
from copypro.adapters.kafka_log import OFFSETS
from copypro.ports import Record
from copypro.settings import Settings
from copypro.wiring import create_topics, open_history
from cryptography.fernet import Fernet

from infra.local.servers import free_port
from tests.faults.program import Program
from tests.faults.test_kill_9 import REAL_LIMITS

PARTITIONS = 4
SESSION_S = 6.0 if REAL_LIMITS else 2.0
"""Scaled, unless the real limits are asked for."""
COUNTS = {"account-watcher": 2, "replicator": 2, "stats": 1, "gateway": 1}


class Cluster:
    """Two watchers, two replicators, one stats and one gateway unless other numbers are asked for."""

    def __init__(
        self,
        folder: Path,
        kafka: str,
        mongo: str,
        bridges: tuple[str, str],
        *,
        counts: Mapping[str, int] | None = None,
        **environment: str,
    ) -> None:
        """`mongo` with the name of a database; `environment` is added to what each process gets."""
        self.folder, self.counts = folder, counts or COUNTS
        self._bridges = bridges
        self.environment = {
            "KAFKA_BOOTSTRAP_SERVERS": kafka,
            "MongoDB": mongo,
            "COPYPRO_PARTITIONS": str(PARTITIONS),
            "COPYPRO_SESSION_TIMEOUT_S": str(SESSION_S),
            "COPYPRO_SECRET_KEYS": Fernet.generate_key().decode(),
            "COPYPRO_SIGN_UP": "open",
            "COPYPRO_LOG_JSON": "1",
            **environment,
        }
        self.programs: dict[str, list[Program]] = {kind: [] for kind in self.counts}
        self._made = 0

    @property
    def settings(self) -> Settings:
        aliases = {field.alias: name for name, field in Settings.model_fields.items()}
        named = {
            aliases[name]: value for name, value in self.environment.items() if name in aliases
        }
        return Settings.model_validate(named)

    @property
    def gateway(self) -> Program:
        return self.programs["gateway"][0]

    def make(self, kind: str, **environment: str) -> Program:
        self._made += 1
        place = self.folder / f"{kind}-{self._made}"
        place.mkdir()
        more = self.environment | environment
        program = Program(place / "data", *self._bridges, free_port(), command=kind, **more)
        self.programs[kind].append(program)
        return program

    async def start(self) -> None:
        await create_topics(self.settings)
        for kind, count in self.counts.items():
            for _ in range(count):
                await self.make(kind).start(wait=False)
        await self.until_ready()

    async def until_ready(self) -> None:
        for program in self.all():
            await program.until_ready()

    def all(self) -> list[Program]:
        return [program for made in self.programs.values() for program in made]

    async def stop(self) -> None:
        """All of them in order, and what is shown last: once it has read what the others wrote."""
        showing = self.programs["stats"]
        for program in self.all():
            if program not in showing:
                assert await program.terminate() == 0
        written = {
            (topic.name, record.partition): record.offset
            for topic in topics.STATS.inputs
            for record in await self._all_records(topic)
        }

        async def has_read() -> bool:
            read = {
                (topic, record.partition): offset
                for record in await self._all_records(topics.STATS.state)
                if record.key == OFFSETS
                for topic, offset in msgspec.json.decode(record.value or b"{}").items()
            }
            return all(read.get(place, 0) > offset for place, offset in written.items())

        await showing[0].until(has_read)
        for program in showing:
            assert await program.terminate() == 0

    async def end(self) -> None:
        for program in self.all():
            await program.end()

    async def records(self, topic: topics.Topic, kind: str) -> list[Record]:
        return [r for r in await self._all_records(topic) if r.headers["type"] == kind]

    async def _all_records(self, topic: topics.Topic) -> list[Record]:
        history = open_history(self.settings)
        found = history.records(topic, await history.spans(topic))
        return [record async for batch in found for record in batch]

    def said(self, kind: str, event: str) -> list[tuple[float, Program, dict[str, Any]]]:
        """Lines of one event by all processes of a kind, oldest first: when (seconds since 1970), who,
        and the line.
        """
        found = [
            (moment(line), program, line)
            for program in self.programs[kind]
            for line in program.lines()
            if line["event"] == event
        ]
        return sorted(found, key=lambda each: each[0])

    def owner(self, role: str, partition: int) -> Program:
        """Who took it over last."""
        takeovers = self.said(role, "partition taken over")
        return [who for _, who, line in takeovers if line["partition"] == partition][-1]

    async def until_shared(self, role: str) -> None:
        """All partitions are owned and restored, and no process has more than its share."""
        share = -(-PARTITIONS // len(self.programs[role]))

        async def shared() -> bool:
            owned = [await _owned(program, role) for program in self.programs[role]]
            return sum(owned) == PARTITIONS and max(owned) <= share

        await self.programs[role][0].until(shared)
        await self.until_ready()


async def _owned(program: Program, role: str) -> int:
    found = await program.metrics()
    return int(found.get(("copypro_partitions", (role,)), 0))


def moment(line: Mapping[str, Any]) -> float:
    return datetime.fromisoformat(str(line["timestamp"])).timestamp()
