"""`python -m docs.generating`: writes the documents that are made from the code."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from docs.generating import asyncapi, page, rest

FOLDER = Path(__file__).parents[1]


DOCUMENTS: dict[Path, Callable[[], str]] = {
    FOLDER / "events.md": page.text,
    FOLDER / "asyncapi.json": asyncapi.as_text,
    FOLDER / "openapi.json": rest.openapi_as_text,
    FOLDER / "errors.md": rest.errors,
}
"""Each is made when it is asked for."""


if __name__ == "__main__":
    for path, text in DOCUMENTS.items():
        path.write_text(text())
