"""What the ring costs on a Kafka broker of its own: latency, throughput, owners."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from benchmarks import kafka_fanout, kafka_latency
from infra.local.servers import Kafka


async def measure(address: str) -> None:
    await kafka_latency.report(address)
    await kafka_fanout.report(address)


def main() -> None:
    import uvloop

    address = os.environ.get("COPYPRO_TEST_KAFKA", "")
    with tempfile.TemporaryDirectory() as name:
        kafka = None if address else Kafka(Path(name) / "kafka")
        if kafka is not None:
            kafka.start()
            address = kafka.address
        try:
            uvloop.run(measure(address))
        finally:
            if kafka is not None:
                kafka.stop()


if __name__ == "__main__":
    main()
