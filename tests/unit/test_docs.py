"""What the documents say is what the program does."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path

import pytest
from copypro.settings import Settings
from copypro_gateway.wording.call_codes import CALL_CODES
from copypro_gateway.wording.errors import DENIED_STATUS
from copypro_standalone.cli import app
from typer.testing import CliRunner

ROOT = Path(__file__).parents[2]
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / "examples" / "README.md"]
MODULES = [
    module.relative_to(ROOT).as_posix()
    for folder in ("libs", "services", "tests", "infra", "examples", "benchmarks")
    for module in (ROOT / folder).rglob("*.py")
]


def test_env_example_names_every_setting_and_no_other() -> None:
    named = set(re.findall(r"^(\w+)=", (ROOT / ".env.example").read_text(), re.M))
    assert named == {field.alias for field in Settings.model_fields.values()}


def test_every_code_of_a_call_is_in_the_page_of_errors() -> None:
    """The page is made from the tables; here, that no code is used that they do not have."""
    services, health = ROOT / "services", ROOT / "libs/common/copypro/health.py"
    used = set(re.findall(r"\"code\": \"([A-Z_]+)\"", health.read_text()))
    for module in services.rglob("*.py"):
        source = module.read_text()
        used |= set(re.findall(r"ApiError\(\s*\d+,\s*\"([A-Z_]+)\"", source))
        used |= {f"UNKNOWN_{what.upper()}" for what in re.findall(r"unknown\(\"(\w+)\"\)", source)}
        used |= set(re.findall(r"_deny\([^\"]*\"([A-Z_]+)\"", source))
    assert used <= CALL_CODES.keys()
    assert len(used) > 25
    assert DENIED_STATUS.items() <= {code: row[0] for code, row in CALL_CODES.items()}.items()


def test_every_command_of_the_readme_exists_and_explains_itself() -> None:
    readme = (ROOT / "README.md").read_text()
    commands = set(re.findall(r"`copypro ([a-z-]+)", readme))
    assert {"up", "explain", "unresolved", "settle", "alerts", "mt-simulator"} <= commands
    assert {"gateway", "account-watcher", "replicator", "stats"} <= commands
    for command in commands:
        shown = CliRunner().invoke(app, [command, "--help"])
        assert shown.exit_code == 0, command
        assert "Usage" in shown.output


def test_every_call_of_the_page_is_served() -> None:
    page = (ROOT / "docs" / "api.md").read_text()
    (listed,) = re.findall(r"^Calls: (.*?)\. The calls", page, re.M)
    gateway = (ROOT / "services/gateway/copypro_gateway/subjects").glob("*.py")
    source = "".join(module.read_text() for module in gateway)
    for call in listed.split(", "):
        assert f'"{call}"' in source, call


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem[:30])
def test_every_file_and_function_that_a_page_names_is_there(page: Path) -> None:
    for name, function in re.findall(r"`([\w/.-]+\.py)(?::(\w+))?`", page.read_text()):
        places = [module for module in MODULES if f"/{module}".endswith(f"/{name}")]
        assert places, name
        defined = [place for place in places if f"def {function}(" in (ROOT / place).read_text()]
        assert defined or not function, f"{name}:{function}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem[:30])
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#\s]+)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_what_the_page_of_sizing_multiplies_follows_from_what_was_measured() -> None:
    page = (ROOT / "docs" / "sizing.md").read_text()

    def told(pattern: str) -> Decimal:
        (found,) = re.findall(pattern, page)
        return Decimal(found.replace(",", ""))

    log_kb, kb_in_gb = told(r"\| ([\d.]+) MB: ") * 1000, 1_000_000
    copy_kb, trade_kb = told(r"(\d+) kB for each copy"), told(r"(\d+) kB for each master trade")
    assert copy_kb == round(log_kb / told(r"([\d,]+) copies\)"))
    assert trade_kb == round(log_kb / told(r"\((\d+) trades, "), -1)
    assert told(r"About (\d+) GB a day") == 100_000 * copy_kb / kb_in_gb
    assert told(r"(\d+) GB a day of log before") == 10_000_000 * copy_kb / kb_in_gb
    account_kb = told(r"(\d+) kB with ten open")
    assert told(r"\(([\d.]+) GB of memory") == round(10_000 * account_kb / kb_in_gb, 1)
    memory_gb = told(r"\((\d+) GB for ten open")
    assert memory_gb == 1_000_000 * account_kb / kb_in_gb
    assert told(r"some ([\d.]+) GB a watcher") == round(memory_gb / told(r"(\d+) or more"), 1)
