"""Reports in every form that MetaTrader writes, and what is no report, or a hostile one."""

from __future__ import annotations

import io
import zipfile
from decimal import Decimal

import pytest
from copypro.errors import BadStatement
from copypro.statements import Kind, Limits, read
from copypro.statements.checking import check
from copypro.values import Mode, Platform, Side

from tests.unit import statement_writer as write
from tests.unit.shared_statements import FILES, MISSING

pytestmark = pytest.mark.slow

OPENED, CLOSED = "2024.05.01 10:00:00", "2024.05.02 11:30:00"
NUMBERS = {
    "1 234.56": write.spaced,
    "1 234.56 (no-break)": write.with_marks("\u00a0", "."),
    "1,234.56": write.with_marks(",", "."),
    "1'234.56": write.with_marks("'", "."),
    "1.234,56": write.with_marks(".", ","),
    "1 234,56": write.with_marks(" ", ","),
    "1234.56": write.plain,
}
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252")
FIGURES = [
    ("Deposit/Withdrawal", "10000.00"), ("Credit Facility", "0.00"), ("Closed Trade P/L", "1234.56"),
    ("Floating P/L", "0.00"), ("Margin", "0.00"), ("Balance", "11234.56"), ("Equity", "11234.56"),
    ("Free Margin", "11234.56"),
]  # fmt: skip


def closed(ticket: int = 2, number: write.Numbers = write.spaced, **given: str) -> str:
    return write.mt4_closed(
        ticket,
        given.get("opened", OPENED),
        given.get("side", "buy"),
        given.get("lots", "1.00"),
        given.get("symbol", "eurusd"),
        ("1.10000", "1.11234"),
        given.get("closed", CLOSED),
        ("-7.00", "0.00", "7.56", given.get("profit", "1234.00")),
        number,
    )


def statement(number: write.Numbers = write.spaced, words: write.Words = write.plain) -> str:
    rows = [write.mt4_operation(1, "2024.04.30 09:00:00", "balance", "10000.00", number)]
    rows += [closed(number=number), write.mt4_cancelled(3, CLOSED)]
    return write.mt4_statement(rows, [(n, number(v)) for n, v in FIGURES], words)


@pytest.mark.parametrize("number", NUMBERS.values(), ids=NUMBERS)
def test_every_number_format_reads_the_same(number: write.Numbers) -> None:
    found = read(statement(number).encode())
    assert [row.profit for row in found.closed] == [Decimal("1234.00")]
    assert found.closed[0].open_price == Decimal("1.10000")
    assert found.operations[0].amount == Decimal("10000.00")
    assert all(figure.equal for figure in check(found)), check(found)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_encoding_reads_the_same(encoding: str) -> None:
    text = statement().replace("Name: X", "Name: Zoë")
    found = read(text.encode(encoding))
    assert (found.header.name, found.header.currency, found.header.login) == ("Zoë", "USD", 1000001)
    assert len(found.closed) == 1


def test_cyrillic_of_an_old_machine_is_read() -> None:
    found = read(statement().replace("Name: X", "Name: Иванов").encode("cp1251"))
    assert found.header.name == "Иванов"


def test_figures_of_an_unknown_language_are_known_by_their_order() -> None:
    found = check(read(statement(words=write.foreign).encode()))
    assert [figure.name for figure in found] == [name for name, _ in FIGURES]
    assert all(figure.equal for figure in found)


@pytest.mark.parametrize("path", [path for path in FILES if path.suffix != ".xlsx"] or [
    pytest.param(None, marks=pytest.mark.skip(reason=MISSING))])  # fmt: skip
def test_a_real_report_with_all_its_labels_in_another_language_gives_the_same(path) -> None:  # type: ignore[no-untyped-def]
    data = path.read_bytes()
    text = data.decode("utf-16" if data[:2] == b"\xff\xfe" else "latin-1")
    english = {figure.key: figure for figure in read(data).printed if ":" not in figure.text}
    other = read(write_foreign(text).encode("utf-8"))
    found = {figure.key: figure.text for figure in other.printed if ":" not in figure.text}
    assert found == {key: figure.text for key, figure in english.items() if key in found}
    assert len(english) - len(found) <= 4  # totals of tables, whose columns have no names now
    assert len(other.closed) == len(read(data).closed)
    assert len(other.deals) == len(read(data).deals)


def write_foreign(text: str) -> str:
    """Whatever stands in a cell and is neither a number nor a word of MetaTrader's own."""
    import re

    kept = re.compile(
        r"(buy|sell|balance|credit|in|out|in/out|out by|cancelled|canceled|filled|placed|"
        r"(buy|sell) (limit|stop)|[\w.]*\d[\w.]*|\w{3,6}:? ?\d.*|.*\(\w{3}, ?.*\))$"
    )

    def changed(found: re.Match[str]) -> str:
        inner = found[0][1:-1]
        bare = inner.replace("&nbsp;", " ").strip()
        if not bare or kept.match(bare) or not any(c.isalpha() for c in bare):
            return found[0]
        return f">{write.foreign(bare)}<"

    start = text.index("<tr")
    return text[:start] + re.sub(r">[^<>]+<", changed, text[start:])


def mt5(**given: object) -> str:
    positions = [
        ("2024.05.01 10:00:00", "11", "EURUSD", "buy", "2.00", "1.10000", "", "",
         "2024.05.01 12:00:00", "1.10500", "-14.00", "0.00", "1 000.00"),
    ]  # fmt: skip
    deals = [
        ("2024.05.01 09:00:00", "100", "", "balance", "", "", "", "", "0.00", "0.00", "0.00",
         "5 000.00", "5 000.00", "deposit"),
        ("2024.05.01 10:00:00", "101", "EURUSD", "buy", "in", "2.00", "1.10000", "11", "-7.00",
         "0.00", "0.00", "0.00", "4 993.00", ""),
        ("2024.05.01 12:00:00", "102", "EURUSD", "sell", "out", "2.00", "1.10500", "12", "-7.00",
         "0.00", "0.00", "1 000.00", "5 986.00", "[tp 1.10500]"),
    ]  # fmt: skip
    return write.mt5_history(positions, deals, **given)  # type: ignore[arg-type]


def test_the_hidden_cells_of_newer_reports_are_not_read() -> None:
    found = read(mt5().encode("utf-16"))
    assert (found.platform, found.kind) == (Platform.MT5, Kind.HISTORY)
    assert found.closed[0].lots == Decimal("2.00")
    assert found.header.mode is Mode.HEDGING
    assert (found.header.server, found.header.company) == ("Broker-Server", "Broker Ltd")


def test_the_commission_of_an_entry_is_lost_but_belongs_to_no_trade() -> None:
    results = [
        ("Total Net Profit", "986.00"), ("Gross Profit", "993.00"), ("Gross Loss", "-7.00"),
        ("Profit Factor", "141.86"), ("Expected Payoff", "986.00"), ("Total Trades", "1"),
        ("Largest profit trade", "993.00"), ("Balance", "5986.00"),
        ("Balance Drawdown Maximal", "7.00 (0.14%)"),
    ]  # fmt: skip
    found = check(read(mt5(figures=results).encode()))
    assert [(figure.name, figure.why) for figure in found if not figure.equal] == []


def test_columns_of_deals_in_another_language_are_known_by_their_number() -> None:
    deals = read(mt5(words=write.foreign).encode()).deals
    assert [deal.commission for deal in deals] == [0, Decimal("-7.00"), Decimal("-7.00")]
    assert deals[-1].balance == Decimal("5986.00")
    assert deals[-1].comment == "[tp 1.10500]"


def test_a_spreadsheet_reads_like_the_page() -> None:
    rows: list[list[object]] = [list(row) for row in write.mt5_head(write.plain)]
    rows += [["Deals"], list(write.MT5_DEALS)]
    rows.append(["2024.05.01 09:00:00", 100, "", "balance", "", "", "", "", 0, 0, 0, 5000, 5000])
    rows.append(
        ["2024.05.01 10:00:00", 101, "EURUSD", "buy", "in", "2", 1.1, 11, -7, 0, 0, 0, 4993]
    )
    rows.append(
        ["2024.05.01 12:00:00", 102, "EURUSD", "sell", "out", "2", 1.105, 12, -7, 0, 0, 1000, 5986]
    )
    rows += [list(row) for row in write.figure_rows([("Balance", "")], write.plain)]
    rows[-1][1] = 5986
    found = read(write.xlsx(rows))
    assert [deal.amount for deal in found.deals] == [5000, -7, 993]
    assert [(figure.name, figure.equal) for figure in check(found)] == [("Balance", True)]


MT4_TEST = [
    ("1", "2013.01.03 15:00", "sell", "1", "0.10", "1.31000", "0.00000", "1.30000"),
    ("2", "2013.01.03 16:00", "modify", "1", "0.10", "1.31000", "1.32000", "1.30000"),
    ("3", "2013.01.04 15:00", "t/p", "1", "0.10", "1.30000", "1.32000", "1.30000", "100.00",
     "10100.00"),
    ("4", "2013.01.05 15:00", "buy", "2", "0.20", "1.30000", "0.00000", "0.00000"),
    ("5", "2013.01.05 17:00", "close", "2", "0.10", "1.29900", "0.00000", "0.00000", "-10.00",
     "10090.00"),
    ("6", "2013.01.06 17:00", "close at stop", "3", "0.10", "1.29800", "0.00000", "0.00000",
     "-20.00", "10070.00"),
]  # fmt: skip


def test_a_test_of_metatrader_4() -> None:
    figures = [
        ("Bars in test", "7244"), ("Ticks modelled", "12345"), ("Modelling quality", "90.00%"),
        ("Initial deposit", "10000.00"), ("", ""), ("Spread", "Current (20)"),
        ("Total net profit", "70.00"), ("Gross profit", "100.00"), ("Gross loss", "-30.00"),
        ("Profit factor", "3.33"), ("Expected payoff", "23.33"), ("", ""),
        ("Absolute drawdown", "5.00"), ("Maximal drawdown", "60.00 (0.60%)"),
        ("Relative drawdown", "0.60% (60.00)"), ("Total trades", "3"),
        ("Short positions (won %)", "1 (100.00%)"), ("Long positions (won %)", "2 (0.00%)"),
    ]  # fmt: skip
    found = read(write.mt4_tester(figures, MT4_TEST).encode())
    assert (found.platform, found.kind) == (Platform.MT4, Kind.TESTER)
    checks = {figure.name: figure for figure in check(found)}
    absent = {name for name, figure in checks.items() if figure.ours is None}
    assert absent == {
        "Bars in test", "Ticks modelled", "Modelling quality", "Spread", "Absolute drawdown",
        "Maximal drawdown", "Maximal drawdown (%)", "Relative drawdown", "Relative drawdown ($)",
    }  # fmt: skip
    assert [name for name, f in checks.items() if not f.equal and name not in absent] == []


def test_a_partial_history_starts_at_the_balance_before_its_first_row() -> None:
    page = write.mt4_statement([closed(profit="-100.00")], [("Balance", "900.56")])
    found = read(page.encode())
    drawdown = write.mt4_statement(
        [closed(profit="-100.00")],
        [("Balance", "900.56"), ("Maximal Drawdown", "99.44 (9.94%)")],
    )
    assert [figure.ours for figure in check(found)] == [None]
    assert [figure.equal for figure in check(read(drawdown.encode()))] == [False, True, True]


def test_a_deposit_that_metatrader_booked_later_is_named() -> None:
    rows = [write.mt4_operation(1, "2024.04.30 09:00:00", "balance", "1000.00")]
    rows += [closed(2, profit="99.44"), closed(3, profit="-100.56", closed="2024.05.03 10:00:00")]
    printed = [("Balance", "1000.00"), ("Absolute Drawdown", "0.00"),
               ("Maximal Drawdown", "100.00 (100.00%)")]  # fmt: skip
    found = {f.name: f for f in check(read(write.mt4_statement(rows, printed).encode()))}
    assert "curve that starts at 0" in str(found["Maximal Drawdown (%)"].why)


# --- what is no report ------------------------------------------------------------------------


BAD = {
    "empty file": (b"", "the file is empty"),
    "not a statement": (b"<html><body>hello</body></html>", "not a report"),
    "another table": (
        b"<html><table><tr><td>a</td><td>b</td></tr></table></html>",
        "no list of trades or deals",
    ),
    "another kind of file": (b"%PDF-1.7 ...", "expected htm, html or xlsx"),
    "an old spreadsheet": (b"\xd0\xcf\x11\xe0aaaa", "save the report as htm or xlsx"),
    "truncated": (statement().encode()[:-200], "it is truncated"),
    "cut in a row": (
        (statement()[: statement().index("1 234.00")] + "</html>").encode(),
        "expected a number as profit, found",
    ),
    "a truncated spreadsheet": (write.xlsx([["a"]])[:80], "truncated or damaged"),
    "two accounts": (
        (statement() + statement().replace("1000001", "1000002")).encode(),
        "several accounts in one file: 1000001 (line 2) and 1000002",
    ),
    "unknown currency": (
        statement().replace("Currency: USD", "Currency: dollars").encode(),
        "expected a currency like USD, found 'dollars'",
    ),
    "dates reversed": (
        write.mt4_statement([closed(opened=CLOSED, closed=OPENED)]).encode(),
        "line 5: expected a closing after the opening",
    ),
    "no such type": (
        write.mt4_statement([closed(side="purchase")]).encode(),
        "line 5: expected buy, sell, a pending order's type, balance or credit as type",
    ),
    "no such day": (
        write.mt4_statement([closed(closed="2024.13.45 10:00:00")]).encode(),
        "line 5: expected a time like 2024.03.08 17:32:55 as close time",
    ),
    "not a number": (
        write.mt4_statement([closed(profit="12.x")]).encode(),
        "line 5: expected a number as profit, found '12.x'",
    ),
    "negative volume": (
        write.mt4_statement([closed(lots="-1.00")]).encode(),
        "line 5: expected a volume of 0 or more, found -1.00",
    ),
    "a script": (
        statement().replace("<table>", "<script>alert(1)</script><table>").encode(),
        "expected a report without <script>; it is never run",
    ),
    "entities": (
        b'<!DOCTYPE html [<!ENTITY a "aaaa">]>' + statement().encode(),
        "declares entities",
    ),
    "deep tables": (b"<table><tr><td>" * 5_000, "a report has at most 64"),
    "a spreadsheet with entities": (
        write.xlsx([["a"]], extra='<!DOCTYPE x [<!ENTITY a "aaaa">]>'),
        "declares a DOCTYPE",
    ),
}


@pytest.mark.parametrize(("data", "message"), BAD.values(), ids=BAD)
def test_what_is_no_report_is_refused_and_says_why(data: bytes, message: str) -> None:
    with pytest.raises(BadStatement) as refused:
        read(data)
    assert message in str(refused.value)


def test_lenient_leaves_out_what_cannot_be_read_and_lists_it() -> None:
    rows = [closed(2), closed(3, profit="12.x"), closed(4, side="purchase")]
    found = read(write.mt4_statement(rows).encode(), lenient=True)
    assert [row.ticket for row in found.closed] == [2]
    assert [problem.line for problem in found.problems] == [6, 7]


def test_too_many_problems_are_no_report() -> None:
    rows = [closed(at, profit="x") for at in range(20)]
    with pytest.raises(BadStatement, match="more than 10 problems"):
        read(write.mt4_statement(rows).encode(), Limits(problems=10), lenient=True)


def test_a_large_file_is_refused_before_it_is_looked_at() -> None:
    with pytest.raises(BadStatement, match="split the report by dates"):
        read(b" " * 2_000, Limits(file_bytes=1_000))


def test_a_zip_bomb_is_refused_while_it_unpacks() -> None:
    packed = io.BytesIO()
    archive = zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED)
    with archive, archive.open("xl/worksheets/sheet1.xml", "w") as part:
        part.write(b"<worksheet><sheetData>")
        for _ in range(200):
            part.write(b" " * 1_000_000)
    assert len(packed.getvalue()) < 1_000_000
    with pytest.raises(BadStatement, match="unpacks to more than"):
        read(packed.getvalue())


def test_a_row_without_end_is_refused() -> None:
    cells = "<td>1</td>" * 100_000
    with pytest.raises(BadStatement, match="more than 64 cells"):
        read(f"<html><table><tr>{cells}</tr></table></html>".encode())
    with pytest.raises(BadStatement, match="more than 64 cells"):
        read(_wide_sheet())


def _wide_sheet() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        cells = "<c><v>1</v></c>" * 1_000
        text = f"<worksheet><sheetData><row>{cells}</row></sheetData></worksheet>"
        archive.writestr("xl/worksheets/sheet1.xml", text)
    return packed.getvalue()


@pytest.mark.parametrize(
    "piece",
    ["<td ", '<td "', "<tr><td title='", "<!--", "<", "&lt", "<td>" * 3 + "<tr>", "<b><i>"],
)
def test_hostile_markup_takes_no_longer_than_its_length(piece: str) -> None:
    """Quadratic reading of this would take minutes, and the test's own limit ends it."""
    head = "<html><table><tr><td>1</td></tr>"
    with pytest.raises(BadStatement):
        read((head + piece * (2_000_000 // len(piece))).encode())


def test_a_comment_that_looks_like_markup_is_text() -> None:
    row = closed().replace("<td>2</td>", '<td title="a > b & <c>[sl]">2</td>')
    found = read(write.mt4_statement([row]).encode())
    assert found.closed[0].ticket == 2
    assert found.closed[0].side is Side.BUY


def test_shortened_volumes_of_an_exchange_are_whole() -> None:
    page = mt5().replace("<td>2.00</td>", "<td>2K</td>")
    assert [deal.lots for deal in read(page.encode()).deals] == [0, 2000, 2000]


def test_only_deposits_and_no_trades() -> None:
    rows = [write.mt4_operation(1, "2024.04.30 09:00:00", "balance", "100.00")]
    printed = [("Balance", "100.00"), ("Total Trades", "0"), ("Profit Factor", "0.00"),
               ("Expected Payoff", "0.00"), ("Maximal Drawdown", "0.00 (0.00%)"),
               ("Average profit trade", "0.00"), ("Maximum consecutive wins ($)", "0 (0.00)"),
               ("Short Positions (won %)", "0 (0.00%)")]  # fmt: skip
    found = check(read(write.mt4_statement(rows, printed).encode()))
    assert [(figure.name, figure.why) for figure in found if not figure.equal] == []
