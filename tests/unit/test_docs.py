"""What people read agrees with the code: README, .env.example, --help, the lock, the changelog."""

from __future__ import annotations

import itertools
import re
import tomllib
from pathlib import Path

import pytest
from copypro.settings import Settings
from copypro_standalone.cli import app
from typer.testing import CliRunner

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
COMMANDS = {
    command.name or command.callback.__name__
    for command in app.registered_commands
    if command.callback is not None
}
VARIABLES = {str(field.validation_alias): field for field in Settings.model_fields.values()}
CLIENT_VARIABLES = {"COPYPRO_URL", "COPYPRO_KEY"}
"""Read by commands that talk to a running gateway."""


def test_env_example_has_every_setting_with_its_default_and_description() -> None:
    lines = (ROOT / ".env.example").read_text().splitlines()
    found = {}
    for comment, line in itertools.pairwise(lines):
        if match := re.fullmatch(r"#(\w+)=(.*)", line):
            found[match[1]] = (comment.removeprefix("# "), match[2])

    assert set(found) == set(VARIABLES)
    for name, field in VARIABLES.items():
        default = {None: "", (): "", False: "0"}.get(field.default, str(field.default))
        assert found[name] == (field.description, default), name


def test_readme_names_only_make_targets_that_exist_and_the_main_ones() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:`|^|ApiMT5=\S+ )make ([a-z]+)", README, re.MULTILINE))

    assert named <= targets
    assert {"demo", "test", "check", "bench"} <= named


def test_readme_names_every_command_and_no_other() -> None:
    named = set(re.findall(r"`(?:\.venv/bin/)?copypro ([a-z-]+)", README))

    assert named == COMMANDS


def test_readme_names_only_settings_that_exist() -> None:
    named = set(re.findall(r"\b(?:COPYPRO_[A-Z0-9_]+|ApiMT[45])\b", README))

    assert named <= set(VARIABLES) | CLIENT_VARIABLES
    assert {"ApiMT4", "ApiMT5", "COPYPRO_DATA", "COPYPRO_GATEWAY_PORT"} <= named


def test_every_file_that_readme_links_to_is_there() -> None:
    links = re.findall(r"\]\((?!http)([^)#]+)", README)

    assert links
    for link in links:
        assert (ROOT / link).exists(), link


def test_help_shows_every_command_and_what_it_is_for() -> None:
    shown = CliRunner().invoke(app, ["--help"])

    assert shown.exit_code == 0
    for name in COMMANDS:
        assert name in shown.output


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_helps(name: str) -> None:
    shown = CliRunner().invoke(app, [name, "--help"])

    assert shown.exit_code == 0
    assert len(shown.output.splitlines()) > 5


def test_the_lock_names_no_index_and_no_machine_and_hashes_everything() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    pinned = re.findall(r"^([a-z0-9_.-]+)==", lock, re.MULTILINE | re.IGNORECASE)

    assert not re.search(r"https?://|--index|--find-links|file:", lock)
    assert len(re.findall(r"--hash=sha256:", lock)) >= len(pinned)
    for wanted in PROJECT["project"]["dependencies"]:
        name = re.split(r"[\[>=<]", wanted)[0].lower()
        assert name in pinned, f"{name} is not in requirements.lock: make lock"


def test_the_changelog_starts_with_what_is_unreleased() -> None:
    lines = (ROOT / "CHANGELOG.md").read_text().splitlines()

    assert any(re.match(r"## .*unreleased", line, re.IGNORECASE) for line in lines)
