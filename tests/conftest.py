"""Real servers for tests: an address from the environment, else Docker, else this machine's own.

Where none can be had, the tests that need them are skipped with one line that says so;
COPYPRO_TEST_SERVERS=required (as in CI) makes that a failure.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import compress
from pathlib import Path
from typing import Any

import pytest
import structlog

from infra.local.servers import Kafka, Mongo, Server, ServersUnavailable
from tests.examples import load_profile

Started = Iterator[str]
KAFKA, MONGODB = "COPYPRO_TEST_KAFKA", "COPYPRO_TEST_MONGODB"
ENDING_S = 120.0
"""For a test that took too long to take its leave of servers and processes."""
ROOM_BYTES = 4 << 30
"""Far more than a run leaves in its servers."""
JVM = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
"""A broker that lives for minutes starts in half the time without the compiler of long runs."""


def pytest_configure(config: pytest.Config) -> None:
    """Several workers share one broker and one mongod, started before any of them."""
    load_profile()
    # Servers have sessions of their own: ended as by Ctrl-C, a run takes them along.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    os.environ.setdefault("JDK_JAVA_OPTIONS", JVM)
    shares = config.getoption("numprocesses", None) and not hasattr(config, "workerinput")
    if not shares or "not slow" in config.getoption("markexpr", "") or _has_docker():
        return
    folder = Path(tempfile.mkdtemp(prefix="copypro-servers-", dir=_in_memory()))
    servers = {KAFKA: Kafka(folder / "kafka"), MONGODB: Mongo(folder / "mongod")}
    wanted = {name: server for name, server in servers.items() if not os.environ.get(name)}
    # The last that is added is the first that is done.
    config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
    for server in wanted.values():
        config.add_cleanup(server.stop)
    with ThreadPoolExecutor() as side_by_side:
        serve = list(side_by_side.map(_starts, wanted.values()))
    for variable, server in compress(wanted.items(), serve):
        os.environ[variable] = server.url if isinstance(server, Mongo) else server.address
        config.add_cleanup(lambda variable=variable: os.environ.pop(variable, None))


def _in_memory() -> Path | None:
    """For servers that live as long as the run. What a disk keeps is asked of those that tests kill,
    which have folders of their own.
    """
    memory = Path("/dev/shm")
    has_room = memory.is_dir() and shutil.disk_usage(memory).free > ROOM_BYTES
    return memory if has_room else None


def _starts(server: Server) -> bool:
    """Where it does not, each worker says it, test by test."""
    try:
        server.start()
    except ServersUnavailable:
        return False
    return True


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """No worker begins one of minutes when the others are about to end."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)
    for item in items:
        if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.obj):
            _limit(item)


def _limit(item: pytest.Function) -> None:
    """What takes too long is cancelled, so that it fails where it waits and takes its processes along.
    The plugin's alarm would be raised in any task of the loop, and the test might wait for that for ever.
    """
    test, marker = item.obj, item.get_closest_marker("timeout")
    limit_s = float(marker.args[0] if marker else item.config.getini("timeout"))

    @functools.wraps(test)
    async def limited(*args: Any, **more: Any) -> None:
        async with asyncio.timeout(limit_s):
            await test(*args, **more)

    item.obj = limited
    item.add_marker(pytest.mark.timeout(limit_s + ENDING_S), append=False)


@pytest.fixture
def heard_again() -> Iterator[None]:
    """For commands that run in the process of the tests, which goes on with others: they set up, or
    silence, what it says.
    """
    known, root = structlog.get_config(), logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.configure(**known)
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture(scope="session")
def kafka_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A broker for this run of the tests; each test makes topics under a prefix of its own."""
    yield from _server(KAFKA, _docker_kafka, lambda: _own_kafka(tmp_path_factory.mktemp("kafka")))


@pytest.fixture(scope="session")
def mongo_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A replica set of one for this run; each test uses a database of its own."""
    yield from _server(
        MONGODB, _docker_mongo, lambda: _own_mongo(tmp_path_factory.mktemp("mongod"))
    )


def _server(variable: str, docker: Callable[[], Started], own: Callable[[], Started]) -> Started:
    given = os.environ.get(variable)
    if given:
        yield given
    elif _has_docker():
        yield from docker()
    else:
        yield from own()


@contextmanager
def own_server(server: Server) -> Iterator[None]:
    """One that a test may stop, freeze and start again as it likes; in the end it is stopped."""
    start_or_skip(server.start)
    try:
        yield
    finally:
        server.stop()


def _own_kafka(folder: Path) -> Iterator[str]:
    kafka = Kafka(folder)
    with own_server(kafka):
        yield kafka.address


def _own_mongo(folder: Path) -> Iterator[str]:
    mongo = Mongo(folder)
    with own_server(mongo):
        yield mongo.url


def _docker_kafka() -> Iterator[str]:
    from testcontainers.kafka import KafkaContainer

    with KafkaContainer("confluentinc/cp-kafka:7.9.1").with_kraft() as container:
        yield container.get_bootstrap_server()


def _docker_mongo() -> Iterator[str]:
    from testcontainers.core.container import DockerContainer
    from testcontainers.core.waiting_utils import wait_for_logs

    container = DockerContainer("mongo:8").with_exposed_ports(27017)
    with container.with_command("mongod --replSet copypro --bind_ip_all") as running:
        wait_for_logs(running, "Waiting for connections")
        running.exec(["mongosh", "--eval", "rs.initiate()"])
        wait_for_logs(running, "Transition to primary complete")
        host, port = running.get_container_host_ip(), running.get_exposed_port(27017)
        yield f"mongodb://{host}:{port}/?directConnection=true"


def start_or_skip(start: Callable[[], None]) -> None:
    try:
        start()
    except ServersUnavailable as error:
        if os.environ.get("COPYPRO_TEST_SERVERS") == "required":
            pytest.fail(f"real servers are required here: {error}")
        pytest.skip(f"no real server on this machine: {error}")


def _has_docker() -> bool:
    if shutil.which("docker") is None:
        return False
    return subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0
