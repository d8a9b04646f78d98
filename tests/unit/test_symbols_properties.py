"""Whatever lists brokers have: what is resolved exists there and is no other name's cut-off rest."""

from __future__ import annotations

from copypro.affixes import MAJORS
from copypro.codes import CODES
from copypro_account_watcher.planned.symbols import Resolved, conversion_symbols, resolve
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import examples

AFFIXES = ("", ".m", "c", "pro", "+", "#", "T", ".r", "2")
CORES = (*MAJORS, "XAUUSD", "GOLD", "US30", "DJ30", "BTCUSD", "EURUSDT")


@st.composite
def symbol_names(draw: st.DrawFn) -> str:
    prefix = draw(st.sampled_from(("", "", "", "#", "m.")))
    return prefix + draw(st.sampled_from(CORES)) + draw(st.sampled_from(AFFIXES))


@st.composite
def lists(draw: st.DrawFn) -> tuple[str, ...]:
    groups = draw(st.lists(st.sampled_from(AFFIXES), max_size=2, unique=True))
    names = [f"{major}{suffix}" for suffix in groups for major in MAJORS[: draw(st.integers(3, 8))]]
    return tuple(dict.fromkeys(names + draw(st.lists(symbol_names(), max_size=8))))


@given(symbol_names(), lists())
@examples(600)
def test_what_is_resolved_exists_and_holds_the_masters_whole_name_or_its_major(
    master: str, names: tuple[str, ...]
) -> None:
    found = resolve(master, None, names)
    if not isinstance(found, Resolved):
        assert found.code in CODES
        return
    assert found.name in names
    if found.how == "exact":
        assert found.name == master
    else:
        major = next((core for core in MAJORS if core in master and core in found.name), None)
        assert master in found.name or major is not None
    # A tether is no dollar with a suffix: five majors prove a slave's own T, nothing a master's.
    assert "USDT" not in master or "USDT" in found.name


@given(st.sampled_from(("EUR", "USD", "JPY", "GBP", "USC")), st.sampled_from(("CHF", "CAD", "EUC")))
@examples(30)
def test_a_path_of_rates_leads_from_one_currency_to_the_other(source: str, target: str) -> None:
    whole = {"USC": "USD", "EUC": "EUR"}
    at, end = whole.get(source, source), whole.get(target, target)
    for name, inverse in conversion_symbols((source, target), MAJORS):
        base, profit = (name[3:], name[:3]) if inverse else (name[:3], name[3:])
        assert base == at
        at = profit
    assert at == end or not conversion_symbols((source, target), MAJORS)
