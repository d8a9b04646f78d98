"""Pieces of a page that several sections are made of. What is handed in is HTML unless it says text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape


def card(title: str, inside: str, note: str = "", kind: str = "") -> str:
    said = f'<p class="note">{note}</p>' if note else ""
    return f'<section class="card {kind}"><h2>{title}</h2>{said}{inside}</section>\n'


def tiles(cells: Iterable[tuple[str, str, str]]) -> str:
    """Key figures: name, value, and a text below."""
    found = "".join(
        f'<div class="keyfigure"><span class="name">{name}</span><b>{value}</b>'
        f"<small>{escape(small)}</small></div>"
        for name, value, small in cells
    )
    return f'<div class="keys">{found}</div>\n'


def table(head: Sequence[str], rows: Iterable[Sequence[str]], text: Sequence[int] = ()) -> str:
    """Cells are HTML; `text`: columns that are no numbers."""
    kinds = [' class="text"' if at in text else "" for at in range(len(head))]
    top = "".join(f"<th{kind}>{escape(name)}</th>" for kind, name in zip(kinds, head, strict=True))
    body = "".join(
        f"<tr>{''.join(f'<td{k}>{cell}</td>' for k, cell in zip(kinds, row, strict=True))}</tr>"
        for row in rows
    )
    return (
        f'<div class="wide"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'
    )
