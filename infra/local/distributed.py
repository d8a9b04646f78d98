"""`python -m infra.local.distributed up | down | status`: every service as processes on this machine.

Kafka and mongod by `infra.local` unless KAFKA_BOOTSTRAP_SERVERS and MongoDB name some, then the topics, one gateway, two account-watchers, two replicators
and one stats, each with a port and a log of its own under .infra. Without ApiMT4 and ApiMT5 in the
environment, or with --simulated, the bridges are simulated too; a simulated world is new at each
`up`, so its topics and its database are new as well.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from infra.local.__main__ import FOLDER, servers, start, state_of, stop
from infra.local.servers import Server, ServersUnavailable

LOGS = FOLDER / "logs"
SECRETS = FOLDER / "secret.keys"
BRIDGES = ("ApiMT4", "ApiMT5")
SHIFT = int(os.environ.get("COPYPRO_LOCAL_PORT_SHIFT") or 0)
"""Beside another installation on this machine: added to every port."""
MT4_PORT, MT5_PORT, GATEWAY_PORT, FIRST_PORT = (port + SHIFT for port in (5004, 5005, 5020, 5021))
KINDS = ("account-watcher", "account-watcher", "replicator", "replicator", "stats")
OWNED_WITHIN_S = 60.0
STOP_WITHIN_S = 12.0
COPYPRO = (sys.executable, "-m", "copypro_standalone")


class Service(Server):
    """One `copypro` command as a process. Serves when it is ready."""

    def __init__(
        self, command: str, port: int, environment: Mapping[str, str], number: int = 0
    ) -> None:
        self.command, self.environment = command, environment
        self.name = f"{command}-{number}" if number else command
        super().__init__(FOLDER / self.name, port)
        self.log = LOGS / f"{self.name}.log"

    def _command(self) -> list[str]:
        LOGS.mkdir(parents=True, exist_ok=True)
        return [*COPYPRO, self.command]

    def _environment(self) -> Mapping[str, str]:
        name = "COPYPRO_GATEWAY_PORT" if self.command == "gateway" else "COPYPRO_SERVICE_PORT"
        return {**os.environ, **self.environment, name: str(self.port)}

    def _serves(self, begins_at: int) -> bool:
        return bool(self.health().get("ready"))

    def health(self) -> dict[str, Any]:
        """What /health/ready says; empty while nothing answers."""
        try:
            with urllib.request.urlopen(f"http://{self.address}/health/ready", timeout=2) as answer:
                return dict(json.load(answer))
        except urllib.error.HTTPError as answer:
            return dict(json.load(answer))
        except (OSError, HTTPException):
            return {}


class Bridges(Server):
    """The simulated mt4rest and mt5rest, with no brokers behind them yet."""

    name = "simulator"

    def __init__(self) -> None:
        super().__init__(FOLDER / self.name, MT5_PORT)
        self.log = LOGS / f"{self.name}.log"

    def _command(self) -> list[str]:
        LOGS.mkdir(parents=True, exist_ok=True)
        return [sys.executable, "-m", "mt_simulator", str(MT4_PORT), str(MT5_PORT)]

    def _serves(self, begins_at: int) -> bool:
        return f":{MT5_PORT}" in self._said(begins_at)


def services(environment: Mapping[str, str]) -> list[Service]:
    made = [Service("gateway", GATEWAY_PORT, environment)]
    for at, kind in enumerate(KINDS):
        made.append(Service(kind, FIRST_PORT + at, environment, KINDS[:at].count(kind) + 1))
    return made


def up(simulated: bool) -> None:
    """Returns when everything is ready and every partition has its owner. Errors: ServersUnavailable
    with the end of the log of what did not start; then nothing of it is left running.
    """
    down()
    simulated = simulated or not any(os.environ.get(name) for name in BRIDGES)
    try:
        environment = _environment(*_addresses(), simulated)
        if simulated:
            start(Bridges())
        _run("topics", "create", environment=environment)
        processes = services(environment)
        with ThreadPoolExecutor(len(processes)) as together:
            list(together.map(start, processes))
        _until_owned(processes, int(os.environ.get("COPYPRO_PARTITIONS") or 16))
    except BaseException:
        down()
        raise
    _tell(processes, environment, simulated)


def down() -> None:
    """The services first: they answer and record what is in flight; then the servers."""
    processes = services({})
    with ThreadPoolExecutor(len(processes)) as together:
        list(together.map(lambda one: stop(one, STOP_WITHIN_S), processes))
    for server in (Bridges(), *servers()):
        stop(server, STOP_WITHIN_S)


def status() -> None:
    for server in (*servers(), Bridges(), *services({})):
        print(f"{server.name:18} {server.address:16} {state_of(server)}")


def _addresses() -> tuple[str, str]:
    """Of Kafka and of MongoDB: those in the environment, else our own, started."""
    kafka, mongo = servers()
    given = [os.environ.get(name) or "" for name in ("KAFKA_BOOTSTRAP_SERVERS", "MongoDB")]
    for address, server in zip(given, (kafka, mongo), strict=True):
        if not address:
            start(server)
    return given[0] or kafka.address, given[1] or mongo.url


def _environment(kafka: str, mongo: str, simulated: bool) -> dict[str, str]:
    given = {
        "KAFKA_BOOTSTRAP_SERVERS": kafka,
        "COPYPRO_DATA": str(FOLDER / "data"),
        "COPYPRO_LOG_JSON": "1",
        "COPYPRO_SECRET_KEYS": os.environ.get("COPYPRO_SECRET_KEYS") or _secret_keys(),
    }
    database = "copypro"
    if simulated:
        database = f"simulated-{time.strftime('%Y%m%d-%H%M%S')}"
        given |= {
            "ApiMT4": f"http://127.0.0.1:{MT4_PORT}",
            "ApiMT5": f"http://127.0.0.1:{MT5_PORT}",
            "COPYPRO_SIMULATED": "1",
            "COPYPRO_TOPIC_PREFIX": f"{database}.",
        }
    place = urlsplit(mongo)
    if simulated or place.path in ("", "/"):
        mongo = urlunsplit(place._replace(path=f"/{database}"))
    return given | {"MongoDB": mongo}


def _secret_keys() -> str:
    """One for this folder, made once, mode 0600."""
    if not SECRETS.exists():
        with _private(SECRETS) as file:
            os.write(file, base64.urlsafe_b64encode(secrets.token_bytes(32)))
    return SECRETS.read_text()


@contextmanager
def _private(path: Path) -> Iterator[int]:
    path.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        yield file
    finally:
        os.close(file)


def _run(*arguments: str, environment: Mapping[str, str]) -> None:
    command = [*COPYPRO, *arguments]
    done = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = (done.stdout + done.stderr).strip()[-2000:]
        raise ServersUnavailable(f"copypro {' '.join(arguments)}: {said}")


def _until_owned(processes: Sequence[Service], partitions: int) -> None:
    """Until the processes of each role own all of its partitions between them."""
    until = time.monotonic() + OWNED_WITHIN_S
    while True:
        owned: dict[str, int] = {}
        states = [process.health() for process in processes]
        for state in states:
            for role, count in state.get("partitions", {}).items():
                owned[role] = owned.get(role, 0) + count
        ready = all(state.get("ready") for state in states)
        if ready and all(owned.get(role) == partitions for role in KINDS):
            return
        if time.monotonic() > until:
            raise ServersUnavailable(f"of {partitions} partitions only {owned} have an owner")
        time.sleep(0.2)


def _tell(processes: Sequence[Service], environment: Mapping[str, str], simulated: bool) -> None:
    for process in processes:
        print(f"{process.name:18} http://{process.address}  {process.log}")
    if simulated:
        print('SIMULATED brokers, empty. make demo ARGS="--once --json --distributed" fills them')
    for name in ("KAFKA_BOOTSTRAP_SERVERS", "MongoDB", "COPYPRO_TOPIC_PREFIX"):
        if name in environment:
            print(f"export {name}='{environment[name]}'")


def main() -> None:
    arguments = sys.argv[1:]
    simulated = "--simulated" in arguments
    commands = {"up": lambda: up(simulated), "down": down, "status": status}
    chosen = commands.get(next((a for a in arguments if not a.startswith("-")), ""))
    if chosen is None:
        sys.exit(f"usage: python -m infra.local.distributed {' | '.join(commands)} [--simulated]")
    try:
        chosen()
    except ServersUnavailable as error:
        sys.exit(f"infra: {error}")


if __name__ == "__main__":
    main()
