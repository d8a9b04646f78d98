"""What a user may sign up with. Pure."""

from __future__ import annotations

import re

MOST_LETTERS = 254
_ATOM = r"[^\s@.,;:<>()\[\]\\\"]+"
_ADDRESS = re.compile(rf"{_ATOM}(\.{_ATOM})*@{_ATOM}(\.{_ATOM})*")
"""The dot-atoms of RFC 5322 §3.4.1, with letters of every script: no list, no name, no comment."""


def is_one_address(text: str) -> bool:
    """Whether a letter to it goes to one reader. Whether anybody reads there, only a letter tells."""
    return len(text) <= MOST_LETTERS and text.isprintable() and bool(_ADDRESS.fullmatch(text))
