"""`copypro import statement`: reports of MetaTrader, looked at or given to the running gateway."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from copypro.errors import BadStatement
from copypro.statements import Limits, Statement, read
from copypro.statements.checking import check
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from copypro_standalone.operating import refusal, unanswered

Report = dict[str, Any]
ANSWER_WITHIN_S = 300.0


def file_bytes(path: Path) -> bytes:
    """Errors: BadStatement, before a file that is too large was read."""
    try:
        size, most = path.stat().st_size, Limits().file_bytes
        if size > most:
            text = f"the file has {size:,} bytes, at most {most:,} are read"
            raise BadStatement(f"{path}: {text}: split the report by dates")
        return path.read_bytes()
    except OSError as error:
        raise BadStatement(f"{path}: {error.strerror}") from None


def statement_of(path: Path, *, lenient: bool) -> Statement:
    """Errors: BadStatement, which names the file, the line and what was expected there."""
    data = file_bytes(path)
    try:
        return read(data, lenient=lenient)
    except BadStatement as error:
        raise BadStatement(f"{path}: {error}") from None


def checked(path: Path, *, lenient: bool) -> Report:
    """Every printed figure beside ours; imports nothing."""
    statement = statement_of(path, lenient=lenient)
    report: Report = {
        "file": str(path),
        "platform": statement.platform.value,
        "kind": statement.kind.value,
        "figures": [msgspec.structs.asdict(figure) for figure in check(statement)],
    }
    if lenient:
        report["problems"] = [str(problem) for problem in statement.problems]
    return report


async def imported(
    url: str, key: str, path: Path, *, lenient: bool, within_s: float = ANSWER_WITHIN_S
) -> Report:
    """By the running gateway. Errors: BadStatement with its answer, or that there was none."""
    data = file_bytes(path)
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/octet-stream"}
    address = f"{url.rstrip('/')}/ImportStatement?lenient={str(lenient).lower()}"
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=within_s)) as session,
            session.post(address, data=data, headers=headers) as response,
        ):
            answer = await response.json()
    except TimeoutError:
        text = f"{path}: no answer from {url} within {within_s:g} s, whether it was imported is not known"
        raise BadStatement(
            f"{text}: import it again, what is there already stays as it is"
        ) from None
    except aiohttp.ClientError as error:
        raise BadStatement(unanswered(url, error)) from None
    refused = refusal(response.status, answer)
    if refused is not None:
        raise BadStatement(f"{path}: {refused.get('message', refused)}")
    return {"file": str(path), **answer}


def told(report: Report) -> str:
    """One file's import in a few lines."""
    if "accountId" not in report:
        return f"{report['file']}: accepted, not all is visible yet: {report['commandId']}"
    counts = f"{report['added']} added, {report['same']} there already"
    lines = [f"{report['file']}: account {report['accountId']}, {counts}"]
    lines += [f"  contradiction: {text}" for text in report["contradictions"]]
    lines += [f"  left out: {text}" for text in report["problems"]]
    return "\n".join(lines)


def show(reports: Iterable[Report]) -> None:
    console = Console(emoji=False)
    for report in reports:
        figures = report["figures"]
        equal = sum(figure["equal"] for figure in figures)
        title = f"{escape(report['file'])}: {equal} of {len(figures)} figures equal"
        table = Table("figure", "printed", "ours", "", "why", title=title)
        for figure in figures:
            mark = "=" if figure["equal"] else "≠" if figure["ours"] is not None else "-"
            row = (figure["name"], figure["printed"], figure["ours"] or "", mark)
            table.add_row(*map(escape, row), escape(figure["why"] or ""))
        console.print(table)
        for problem in report.get("problems", ()):
            console.print(f"left out: {problem}", markup=False)
