"""Whose report it is: the account, its currency, who wrote it; or the settings of a test."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from copypro.errors import BadStatement
from copypro.statements.figures import Pair
from copypro.statements.grid import Head, Row
from copypro.statements.rows import Header, Kind
from copypro.values import Mode, Platform

_MT4_ACCOUNT = re.compile(r"(?:Account|A/C No)\s*:\s*(\d{1,19})$", re.IGNORECASE)
_ACCOUNT = re.compile(r"(\d{1,19})\s*\(([^(),]*[A-Za-z][^(),]*,[^()]*)\)$")
_CURRENCY = re.compile(r"[A-Z][A-Z0-9]{2,4}$")
_LEVERAGE = re.compile(r"1:\d{1,5}$")
_WRITTEN = re.compile(r"\d{4}\s?[.\w]+\s?\d{1,2}.*\d\d:\d\d")
_MODES = {"hedge": Mode.HEDGING, "hedging": Mode.HEDGING, "netting": Mode.NETTING}
_TITLE_LOGIN = re.compile(r"(?:^|: )(\d{3,19})(?::| - |$)")
SETTINGS_CHARACTERS = 300
MOST_SETTINGS = 300


def header_of(
    platform: Platform, kind: Kind, head: Head, rows: Sequence[Row], pairs: Sequence[Pair]
) -> Header:
    if kind is Kind.TESTER:
        return _of_test(platform, head, rows)
    return _of_mt4(head, rows) if platform is Platform.MT4 else _of_mt5(head, rows, pairs)


def _of_mt4(head: Head, rows: Sequence[Row]) -> Header:
    """One row of `label: value` cells; the labels' language does not matter."""
    logins = _logins(rows)
    first = next((row for row in rows if any(": " in cell.text for cell in row.cells)), None)
    found: dict[str, str] = {}
    for cell in first.cells if first is not None else ():
        label, colon, value = (part.strip() for part in cell.text.partition(": "))
        if not colon:
            if _WRITTEN.match(cell.text):
                found["written_at"] = cell.text
        elif value.isdigit() and "login" not in found:
            found["login"] = value
        elif _LEVERAGE.match(value):
            found["leverage"] = value
        elif _CURRENCY.match(value) and label.casefold() != "name":
            found["currency"] = value
        elif label.casefold() == "currency" and _CURRENCY.match(value.upper()):
            found["currency"] = value.upper()
        elif label.casefold() == "currency":
            raise BadStatement(
                f"line {first.line if first else 0}: expected a currency like USD, found {value!r}"
            )
        elif "name" not in found:
            found["name"] = value
    login = next(iter(logins), int(found.get("login", "0")[:19]))
    return Header(
        login=login or _login_in(head.title),
        name=found.get("name", ""),
        currency=found.get("currency", ""),
        company=head.lines[0] if head.lines else "",
        leverage=found.get("leverage", ""),
        written_at=found.get("written_at", ""),
    )


def _logins(rows: Sequence[Row]) -> list[int]:
    """Errors: BadStatement, if the file speaks of more than one account."""
    found: dict[int, int] = {}
    for row in rows:
        for cell in row.cells:
            account = _MT4_ACCOUNT.match(cell.text) or _ACCOUNT.match(cell.text)
            if account is not None:
                found.setdefault(int(account[1]), row.line)
    if len(found) > 1:
        accounts = " and ".join(f"{login} (line {line})" for login, line in found.items())
        raise BadStatement(f"reports of several accounts in one file: {accounts}")
    return list(found)


def _of_mt5(head: Head, rows: Sequence[Row], pairs: Sequence[Pair]) -> Header:
    logins = _logins(rows)
    account, name, company, written = "", "", "", ""
    for at, pair in enumerate(pairs[:6]):
        found = _ACCOUNT.match(pair.value.text)
        if found is not None:
            account = found[2]
            name = pairs[at - 1].value.text if at else ""
            company = pairs[at + 1].value.text if at + 1 < len(pairs) else ""
            written = pairs[at + 2].value.text if at + 2 < len(pairs) else ""
            break
    terms = [term.strip() for term in account.split(",") if term.strip()]
    currency = terms[0] if terms else ""
    if terms and not _CURRENCY.match(currency):
        raise BadStatement(f"expected a currency like USD beside the account, found {currency!r}")
    rest = [term for term in terms[1:] if term.lower() not in ("demo", "real", "contest")]
    leverage = next((term for term in rest if _LEVERAGE.match(term)), "")
    mode = next((_MODES[term.lower()] for term in rest if term.lower() in _MODES), None)
    server = next((term for term in rest if term != leverage and term.lower() not in _MODES), "")
    return Header(
        login=next(iter(logins), 0) or _login_in(head.title),
        name=name,
        currency=currency,
        company=company,
        server=server,
        leverage=leverage,
        mode=mode,
        written_at=written,
    )


def _login_in(title: str) -> int:
    found = _TITLE_LOGIN.search(title)
    return int(found[1]) if found else 0


def _of_test(platform: Platform, head: Head, rows: Sequence[Row]) -> Header:
    settings = dict(list(_settings(rows))[:MOST_SETTINGS])
    currency = next((v for k, v in settings.items() if k.casefold() == "currency"), "")
    company = next((v for k, v in settings.items() if k.casefold() in ("company", "broker")), "")
    title = head.title.partition(":")[2].strip() if platform is Platform.MT4 else ""
    return Header(
        name=title or next(iter(settings.values()), ""),
        currency=currency if _CURRENCY.match(currency) else "",
        company=company or (head.lines[-1] if head.lines else ""),
        settings=settings,
    )


def _settings(rows: Sequence[Row]) -> Iterator[tuple[str, str]]:
    """Rows of one label and one value; a value alone goes on with the setting before it."""
    label = ""
    for row in rows:
        filled = [cell for cell in row.cells if cell.text]
        if len(filled) == 2 and len(row.cells) <= 3:
            label = filled[0].text.rstrip(":： ")
            yield label, filled[1].text[:SETTINGS_CHARACTERS]
        elif len(filled) == 1 and len(row.cells) == 2 and label:
            yield (
                f"{label} {filled[0].text.partition('=')[0]}",
                filled[0].text[:SETTINGS_CHARACTERS],
            )
