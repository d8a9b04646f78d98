"""Every command as the image and the compose file run it: only what the project needs is installed,
and the environment holds nothing else. Docker itself is not needed, and not tested.
"""

from __future__ import annotations

import json
import signal
import subprocess
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from copypro.adapters import kafka_topics
from copypro.adapters.kafka_client import Clients, KafkaLimits, KafkaSettings, started

from infra.local.servers import free_port
from infra.locked import entries, needed, normal, project_needs
from tests import image
from tests.servers import database_on

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(600)]
READY_WITHIN_S = 60
STOP_WITHIN_S = 12


@pytest.fixture(scope="module")
def opt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return image.built(tmp_path_factory.mktemp("image"))


def test_the_image_has_what_the_project_needs_and_no_more(opt: Path) -> None:
    code = "import importlib.metadata as m; print(*(d.name for d in m.distributions()))"
    said = subprocess.run([opt / "bin/python", "-c", code], capture_output=True, text=True)
    lock = needed((image.ROOT / "requirements.lock").read_text(), project_needs())
    elsewhere = "sys_platform == 'win32'"
    wanted = {name for name, (text, _) in entries(lock).items() if elsewhere not in text}
    assert {normal(name) for name in said.stdout.split()} == {"copypro", *wanted}
    assert not wanted & {"pip", "setuptools", "hatchling", "pytest", "mypy", "ruff"}


class Containers:
    """Commands of the compose file as processes; what is a host name there is an address here."""

    def __init__(
        self, opt: Path, folder: Path, hosts: dict[str, str], variables: dict[str, str]
    ) -> None:
        self._services = image.filled_in(image.compose_file()["services"], variables)
        self._image = image.environment_of(image.stages()[-1])
        self._opt, self._folder, self._hosts = opt, folder, hosts
        self.cwd = folder / "empty"
        self.cwd.mkdir()

    def meet(self, service: str, port: int) -> int:
        """A free port of this machine, where the others find that port of this service."""
        self._hosts[f"{service}:{port}"] = f"127.0.0.1:{(free := free_port())}"
        self._hosts[f"'127.0.0.1', {port}"] = f"'127.0.0.1', {free}"
        return free

    def words(self, service: str) -> list[str]:
        """Its command."""
        return [self._here(word) for word in self._services[service]["command"]]

    def environment(self, service: str, port: int) -> dict[str, str]:
        """The image's and the service's; a port of its own, since all share this machine's."""
        given = {
            k: self._here(str(v)) for k, v in self._services[service].get("environment", {}).items()
        }
        ours = {
            "PATH": f"{self._opt}/bin:/usr/bin:/bin",
            "COPYPRO_DATA": str(self.cwd),
            "COPYPRO_GATEWAY_PORT": str(port),
            "COPYPRO_SERVICE_PORT": str(port),
        }
        return {**self._image, **given, **ours}

    def run(
        self, service: str, *command: str, port: int = 0, more: tuple[str, ...] = ()
    ) -> subprocess.CompletedProcess[str]:
        """`docker compose run`: the service's own command, or another one."""
        words = [self._here(word) for word in command] or self.words(service)
        env = self.environment(service, port)
        return subprocess.run(
            [*words, *more], cwd=self.cwd, env=env, capture_output=True, text=True, check=False
        )

    @contextmanager
    def up(self, service: str, port: int, *more: str) -> Iterator[subprocess.Popen[bytes]]:
        words = self.words(service)
        with (self._folder / f"{service}.log").open("wb") as log:
            process = subprocess.Popen(
                [*words, *more],
                cwd=self.cwd,
                env=self.environment(service, port),
                stdout=log,
                stderr=log,
            )
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def healthy(self, service: str, port: int) -> bool:
        """By the compose file's own health check."""
        kind, *words = self._services[service]["healthcheck"]["test"]
        assert kind == "CMD"
        return self.run(service, *words, port=port).returncode == 0

    def said(self) -> str:
        return "\n".join(
            f"{log.name}: {log.read_text()[-1500:]}" for log in self._folder.glob("*.log")
        )

    def _here(self, text: str) -> str:
        for name, address in self._hosts.items():
            text = text.replace(name, address)
        return text


@pytest.fixture
async def containers(
    opt: Path, tmp_path: Path, kafka_address: str, mongo_url: str
) -> AsyncIterator[Containers]:
    prefix = f"image-{uuid.uuid4().hex[:8]}-"
    variables = image.new_env("demo") | {"COPYPRO_TOPIC_PREFIX": prefix, "COPYPRO_PARTITIONS": "4"}
    async with database_on(mongo_url) as database:
        login = f"copypro:{variables['MONGO_PASSWORD']}"
        hosts = {
            "kafka:9092": kafka_address,
            f"mongodb://{login}@mongo:27017/copypro?replicaSet=copypro": database,
            "/opt/copypro": str(opt),
        }
        yield Containers(opt, tmp_path, hosts, variables)
    clients = Clients(KafkaSettings(bootstrap=kafka_address, prefix=prefix), KafkaLimits())
    async with started(clients.admin(), 30) as admin:
        await kafka_topics.remove(admin, prefix)


def test_every_service_of_the_compose_file_runs_and_the_demo_on_them(
    containers: Containers, tmp_path: Path
) -> None:
    made = containers.run("topics")
    assert made.returncode == 0, made.stderr
    assert "4 partitions" in made.stdout
    again = containers.run("topics")
    assert (again.returncode, again.stdout) == (0, "all topics are there already\n")

    mt4, mt5 = containers.meet("simulator", 5004), containers.meet("simulator", 5005)
    ports = {"gateway": containers.meet("gateway", 5020)}
    ports |= {name: free_port() for name in ("account-watcher", "replicator", "stats")}
    added = containers.run(
        "gateway", "copypro", "users", "add", "a@example.com", more=("--password", "of a test")
    )
    assert added.returncode == 0, added.stderr
    with ExitStack() as stack:
        places = ("--mt4-port", str(mt4), "--mt5-port", str(mt5))
        simulator = stack.enter_context(containers.up("simulator", 0, *places))
        running = {
            name: stack.enter_context(containers.up(name, port)) for name, port in ports.items()
        }
        deadline = time.monotonic() + READY_WITHIN_S
        for name, port in {**ports, "simulator": 0}.items():
            while not containers.healthy(name, port):
                assert time.monotonic() < deadline, containers.said()
                time.sleep(0.5)
        few = tmp_path / "trades.csv"
        every = (image.ROOT / "examples" / "trades.csv").read_text().splitlines(keepends=True)
        few.write_text("".join(every[:21]))
        demo = containers.run("demo", more=("--trades", str(few), "--speed", "15"))
        assert demo.returncode == 0, demo.stdout[-2000:] + demo.stderr + containers.said()
        summary = json.loads(demo.stdout.splitlines()[-1])
        assert summary["ok"]
        assert summary["copies"] > 0, summary
        for name, process in running.items():
            process.send_signal(signal.SIGTERM)
            assert process.wait(STOP_WITHIN_S) == 0, containers.said()
            assert not containers.healthy(name, ports[name])
        simulator.terminate()
        assert simulator.wait(STOP_WITHIN_S) == 0
    assert not list(containers.cwd.iterdir()), "nothing is written into a read-only container"
    assert "SIMULATED" in containers.said()


def test_the_demo_finds_its_trades_in_the_image(containers: Containers) -> None:
    (place,) = (word for word in containers.words("demo") if word.startswith("--trades="))
    assert Path(place.removeprefix("--trades=")).read_text().startswith("open_time,")
