"""`python -m infra.local up | down | status`: Kafka and MongoDB for trying things by hand."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from pathlib import Path

from infra.local.servers import STOP_S, Kafka, Mongo, Server, ServersUnavailable

FOLDER = Path(".infra")
KAFKA_PORT, MONGO_PORT = 9092, 27017


def servers() -> tuple[Kafka, Mongo]:
    return Kafka(FOLDER / "kafka", KAFKA_PORT), Mongo(FOLDER / "mongod", MONGO_PORT)


def up() -> None:
    """Starts what does not run; leaves them running."""
    kafka, mongo = servers()
    for server in (kafka, mongo):
        start(server)
    print(f"export KAFKA_BOOTSTRAP_SERVERS={kafka.address}")
    print(f"export MongoDB='{mongo.url}'")


def down() -> None:
    """Stops both; their data stays in .infra until `clean`."""
    for server in servers():
        stop(server)


def clean() -> None:
    down()
    shutil.rmtree(FOLDER, ignore_errors=True)


def status() -> None:
    for server in servers():
        print(f"{server.name:7} {server.address}  {state_of(server)}")


def start(server: Server) -> None:
    """What does not run yet; it stays running. Errors: ServersUnavailable."""
    if _pid(server) is None:
        server.start()
        assert server.pid is not None
        _pid_file(server).write_text(f"{server.pid} {_born(server.pid)}")


def stop(server: Server, within_s: float = STOP_S) -> None:
    """What `start` started, perhaps in another process: asked first, then killed."""
    pid = _pid(server)
    if pid is not None:
        os.kill(pid, signal.SIGTERM)
        until = time.monotonic() + within_s
        while _alive(pid):
            if time.monotonic() > until:
                os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)
    _pid_file(server).unlink(missing_ok=True)


def state_of(server: Server) -> str:
    pid = _pid(server)
    return "down" if pid is None else f"up, process {pid}"


def _pid_file(server: Server) -> Path:
    return server.folder / "pid"


def _pid(server: Server) -> int | None:
    """Of the process that `up` started, while it lives; never of another one that has its number now,
    as after a restart of the machine.
    """
    file = _pid_file(server)
    if not file.exists():
        return None
    number, _, born = file.read_text().partition(" ")
    pid = int(number)
    return pid if _alive(pid) and _born(pid) == born else None


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    fields = _stat(pid)
    return not fields or fields[0] != "Z"


def _born(pid: int) -> str:
    """When it was started, after the machine's own start; empty where the system does not say."""
    fields = _stat(pid)
    return fields[19] if fields else ""


def _stat(pid: int) -> list[str]:
    """What Linux says of a process, from its state on; empty elsewhere."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def main() -> None:
    commands = {"up": up, "down": down, "status": status, "clean": clean}
    chosen = commands.get(sys.argv[1] if len(sys.argv) == 2 else "")
    if chosen is None:
        sys.exit(f"usage: python -m infra.local {' | '.join(commands)}")
    try:
        chosen()
    except ServersUnavailable as error:
        sys.exit(f"infra: {error}")


if __name__ == "__main__":
    main()
