"""Where the real statements are: beside the repository, never in it."""

from __future__ import annotations

from pathlib import Path

FOLDER = next(
    (
        parent / "shared" / "statements"
        for parent in Path(__file__).resolve().parents
        if (parent / "shared" / "statements").is_dir()
    ),
    None,
)
MISSING = "no ../shared/statements: nothing to compare with MetaTrader's own figures"
FILES = sorted(FOLDER.glob("mt*.*")) if FOLDER else []
