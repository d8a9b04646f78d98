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
        _pid_file(server).write_text(str(server.pid))


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
    """Of the process that `up` started, while it lives."""
    file = _pid_file(server)
    if not file.exists():
        return None
    pid = int(file.read_text())
    return pid if _alive(pid) else None


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return True


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
