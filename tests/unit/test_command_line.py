"""What `copypro` says on the command line when it cannot do its work: one line, exit code 2."""

from __future__ import annotations

import asyncio
import os
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import typer
from copypro import topics
from copypro.adapters.sqlite_log import SqliteLog
from copypro.adapters.sqlite_read_models import SqliteReadModels
from copypro.envelope import Envelope, encode, utc_now
from copypro.messages import CallBegun
from copypro.ports import Upsert
from copypro.values import MessageId
from copypro_standalone.cli import app
from copypro_standalone.people import add
from mt_simulator.main import start
from typer.testing import CliRunner

pytestmark = pytest.mark.usefixtures("heard_again")


def refused(*arguments: str) -> str:
    """The one line with which it ended."""
    ended = CliRunner().invoke(app, arguments)
    assert ended.exit_code == 2, ended.output
    assert not ended.stdout
    assert ended.stderr.startswith("copypro: ")
    assert ended.stderr.count("\n") == 1
    return ended.stderr.strip()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ("expain", "'expain'"),
        ("up --nonsense", "--nonsense"),
        ("explain 1001", "'ticket'"),
        ("explain 1001 first", "'ticket'"),
        ("quality --by week", "'--by'"),
        ("users invite --days -1", "'--days'"),
        ("settle any --ticket 0", "'--ticket'"),
        ("mt-simulator --mt4-port 65536", "'--mt4-port'"),
        ("mt-simulator --mt5-port -1", "'--mt5-port'"),
    ],
)
def test_what_is_wrong_in_a_command_line_is_named_in_one_line(
    arguments: str, named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    said = refused(*arguments.split())
    assert named in said
    assert said.endswith(" --help`)")


def test_a_decision_on_nothing_names_what_is_missing_and_where_it_is_listed() -> None:
    said = refused("settle", "any", "--key", "k")
    assert said == (
        "copypro: give --attempt, --ticket or both: `copypro unresolved` and `copypro alerts` list them"
    )


@pytest.mark.parametrize("command", ["alerts", "unresolved", "dead-letters list", "users keys"])
def test_a_list_is_said_to_be_one(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    shown = CliRunner().invoke(app, [*command.split(), "--help"])
    assert "one JSON array instead of text" in shown.output


def test_a_question_that_nobody_answers_ends_in_one_line() -> None:
    ended = CliRunner().invoke(app, ["users", "add", "a@example.com"], input="")
    assert ended.exit_code == 1
    assert ended.stderr.splitlines()[-1] == "copypro: not answered: nothing was done"


def test_a_password_may_come_by_a_pipe(tmp_path: Path) -> None:
    asyncio.run(data_in(tmp_path))
    adding = ["users", "add", "a@example.com", "--data", str(tmp_path)]
    command = [sys.executable, "-m", "copypro_standalone", *adding]
    added = subprocess.run(
        command, input="a password\n", capture_output=True, text=True, check=False, timeout=60
    )
    assert (added.returncode, added.stderr) == (0, "")
    assert len(added.stdout.split()) == 1, "the userKey alone"


def test_without_any_input_a_password_is_not_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As from a supervisor that closes it."""
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(typer.Abort):
        add("a@example.com", data=tmp_path)


async def data_in(folder: Path) -> None:
    """A log of ours, and read models with one alert."""
    log = await SqliteLog.open(folder)
    models = await SqliteReadModels.open(folder)
    alert = {"id": "1", "open": True, "account": "a" * 32}
    await models.upsert([Upsert(collection="alerts", id="1", source="s", version=1, fields=alert)])
    await models.close()
    await log.close()


async def audited_in(folder: Path) -> None:
    log = await SqliteLog.open(folder)
    id_, begun = MessageId("1"), CallBegun(call="SignIn", parameters={})
    line = Envelope(id=id_, correlation=id_, time=utc_now(), message=begun)
    await log.append([encode(topics.AUDIT, topics.AUDIT_KEY, line)])
    await log.close()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("PRAGMA user_version = 99", "newer version (99)"),
        ("PRAGMA application_id = 7", "belongs to another program"),
        ("UPDATE doc_alerts SET document = x'ff00'", "is damaged"),
    ],
)
def test_a_list_of_data_that_cannot_be_read_ends_in_one_line(
    change: str, named: str, tmp_path: Path
) -> None:
    asyncio.run(data_in(tmp_path))
    with closing(sqlite3.connect(tmp_path / "read-models.db", isolation_level=None)) as file:
        file.execute(change)
    said = refused("alerts", "--data", str(tmp_path))
    assert named in said
    assert "read-models.db" in said


def test_a_story_from_a_log_that_is_spoilt_ends_in_one_line(tmp_path: Path) -> None:
    asyncio.run(data_in(tmp_path))
    with closing(sqlite3.connect(tmp_path / "log.db", isolation_level=None)) as file:
        file.execute("INSERT INTO \"order-events\" VALUES (0, 'key', x'00', x'ff', 0)")
        file.execute("REPLACE INTO ends VALUES ('order-events', 1)")
    assert "log.db is damaged" in refused("explain", "1001", "5", "--data", str(tmp_path))


def ran(*arguments: str, stdout: int) -> tuple[int, str]:
    """As a process: its exit code and what it said on standard error."""
    command = [sys.executable, "-m", "copypro_standalone", *arguments]
    run = subprocess.run(command, stdout=stdout, stderr=subprocess.PIPE, text=True, check=False)
    return run.returncode, run.stderr


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("arguments", ["version", "--help", "audit export"])
def test_an_answer_for_which_there_is_no_room_ends_in_one_line(
    arguments: str, unbuffered: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COPYPRO_DATA", str(tmp_path))
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    asyncio.run(audited_in(tmp_path))
    with open("/dev/full", "w") as full:
        code, said = ran(*arguments.split(), stdout=full.fileno())
    what = "copypro: standard output cannot be written: No space left on device"
    assert (code, said.splitlines()[-1]) == (2, what)
    assert "Traceback" not in said


@pytest.mark.parametrize("arguments", ["version", "--help", "audit export"])
def test_whoever_reads_an_answer_may_stop(
    arguments: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COPYPRO_DATA", str(tmp_path))
    asyncio.run(audited_in(tmp_path))
    reader, writer = os.pipe()
    os.close(reader)
    code, said = ran(*arguments.split(), stdout=writer)
    os.close(writer)
    assert code == 1
    assert "Error" not in said


def test_no_command_shows_what_there_is() -> None:
    ended = CliRunner().invoke(app, [])
    assert ended.exit_code == 2
    assert "explain" in ended.output


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


@pytest.mark.parametrize("option", ["--mt4-port", "--mt5-port"])
def test_a_simulated_bridge_names_its_taken_port_and_the_option(taken: int, option: str) -> None:
    other = {"--mt4-port": "--mt5-port", "--mt5-port": "--mt4-port"}[option]
    said = refused("mt-simulator", option, str(taken), other, "0")
    assert f"cannot listen on 127.0.0.1:{taken} (Address already in use): " in said
    assert option in said


def test_a_simulated_bridge_names_an_address_that_is_not_this_machines() -> None:
    said = refused("mt-simulator", "--host", "192.0.2.1")
    assert "cannot listen on 192.0.2.1:5004 (Cannot assign requested address): " in said
    assert "--host" in said


@pytest.mark.parametrize(
    ("host", "reached"), [("127.0.0.2", "http://127.0.0.2:"), ("0.0.0.0", "http://127.0.0.1:")]
)
async def test_a_simulated_bridge_says_where_it_answers(host: str, reached: str) -> None:
    simulator = await start(host=host)
    await simulator.close()
    assert simulator.mt4_url.startswith(reached)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ("demo --svg {folder}/none/x.svg", "--svg {folder}/none/x.svg cannot be written"),
        ("demo --trades {folder}/none.csv", "{folder}/none.csv: No such file"),
        ("backtest {folder}/none.csv", "{folder}/none.csv: no such file"),
        ("audit check {folder}/none", "{folder}/none cannot be read: No such file"),
        ("audit check {folder}", "{folder} cannot be read: Is a directory"),
        ("audit export {folder}/none/x", "{folder}/none/x cannot be written: No such file"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(
    arguments: str, named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").mkdir()
    asyncio.run(log_in(tmp_path / "data"))
    monkeypatch.setenv("COPYPRO_DATA", str(tmp_path / "data"))
    said = refused(*arguments.format(folder=tmp_path).split())
    assert named.format(folder=tmp_path) in said


async def log_in(folder: Path) -> None:
    log = await SqliteLog.open(folder)
    await log.close()
