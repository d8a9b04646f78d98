"""Real trades from a CSV, as the demo and the backtest take them."""

from __future__ import annotations

from pathlib import Path

import pytest
from copypro.errors import BadStatement
from copypro_standalone.replay import COLUMNS, read_trades

GOOD = "2019.07.31 14:31:50,2019.07.31 16:58:16,Sell,0.02,USDCAD,1.31312,1.313"
HEAD = ",".join(COLUMNS)


def file_of(folder: Path, *lines: str) -> Path:
    path = folder / "trades.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ("2019.07.31 14:31:50,2019.07.31 16:58:16,Sell,0.02", "symbol is empty"),
        (GOOD.replace("0.02", "abc"), "lots 'abc' is no number"),
        (GOOD.replace("0.02", "-1"), "lots '-1' is no number above 0"),
        (GOOD.replace("1.31312", "nan"), "open_price 'nan' is no number"),
        (GOOD.replace("Sell", "Short"), "side 'Short' is neither Buy nor Sell"),
        (GOOD.replace("16:58:16", "soon"), "close_time '2019.07.31 soon' is no time like"),
    ],
)
def test_a_line_that_is_no_trade_is_named_with_what_is_wrong(
    tmp_path: Path, wrong: str, named: str
) -> None:
    path = file_of(tmp_path, HEAD, GOOD, wrong)
    with pytest.raises(BadStatement) as raised:
        read_trades(path)
    assert str(raised.value).startswith(f"{path}, line 3: {named}")


@pytest.mark.parametrize(
    ("lines", "named"),
    [
        (("time,price", "1,2"), f"no column open_time, .*: its first line is {HEAD}"),
        ((HEAD,), "no trade in it"),
    ],
)
def test_a_file_without_trades_is_named(tmp_path: Path, lines: tuple[str, ...], named: str) -> None:
    with pytest.raises(BadStatement, match=named):
        read_trades(file_of(tmp_path, *lines))


def test_what_is_no_file_of_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "picture.csv").write_bytes(b"\x89PNG\xec\x00")
    for name, why in (("picture.csv", "no CSV"), ("none.csv", "No such file"), ("", "directory")):
        with pytest.raises(BadStatement, match=why):
            read_trades(tmp_path / name)
