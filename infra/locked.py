"""`python infra/locked.py [NAME ...]`: the part of requirements.lock that these packages need.

Without names: what the project itself needs to run. The lock holds the development tools too, and pip
takes no hashes from a constraints file, so an image is made from the entries printed here, as they
are in the lock: pip with --require-hashes refuses the installation where one of them were missing.
Needs nothing but Python.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Collection
from pathlib import Path

ROOT = Path(__file__).parents[1]


def entries(lock: str) -> dict[str, tuple[str, set[str]]]:
    """By package: its lines as they are, and who asked for it (the lock's `# via`)."""
    texts = [text for text in re.split(r"^(?=\w)", lock, flags=re.M) if text.strip()]
    return {name_in(text): (text, _asked_by(text)) for text in texts}


def _asked_by(text: str) -> set[str]:
    lines = text.partition("# via")[2].splitlines()
    return {normal(line.strip(" #")) for line in lines} - {""}


def needed(lock: str, names: Collection[str]) -> str:
    """The entries of these packages and of all that they need in turn, in the lock's order. An entry
    too many is possible (one asked for by an extra), one too few is not.

    Errors: SystemExit for a name that the lock does not have.
    """
    packages = entries(lock)
    wanted = {normal(name) for name in names}
    missing = wanted - packages.keys()
    if missing:
        sys.exit(f"not in requirements.lock: {', '.join(sorted(missing))}; `make lock` makes it")
    while True:
        more = {name for name, (_, asked_by) in packages.items() if asked_by & wanted} - wanted
        if not more:
            return "".join(text for name, (text, _) in packages.items() if name in wanted)
        wanted |= more


def project_needs() -> list[str]:
    """Names of [project.dependencies]."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return [name_in(one) for one in project["dependencies"]]


def name_in(text: str) -> str:
    """The package at the beginning of a requirement."""
    return normal(re.split(r"[^A-Za-z0-9._-]", text, maxsplit=1)[0])


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    lock = (ROOT / "requirements.lock").read_text()
    sys.stdout.write(needed(lock, sys.argv[1:] or project_needs()))
