"""`python -m docs.generating`: writes both documents."""

from __future__ import annotations

from pathlib import Path

from docs.generating import asyncapi, page

FOLDER = Path(__file__).parents[1]


def documents() -> dict[Path, str]:
    return {FOLDER / "events.md": page.text(), FOLDER / "asyncapi.json": asyncapi.as_text()}


if __name__ == "__main__":
    for path, text in documents().items():
        path.write_text(text)
