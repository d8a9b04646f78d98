"""An account's list of symbols and their terms, side by side in one compacted topic."""

from __future__ import annotations

from copypro import messages as m
from copypro.envelope import decode
from copypro.topics import ACCOUNT_SYMBOLS, ACCOUNT_WATCHER
from copypro_standalone.backtest.virtual_time import run

from tests.unit.diff_builders import order
from tests.unit.watched import ACCOUNT, Watched, watched


def test_a_symbol_named_by_a_number_takes_no_piece_s_place_and_others_keep_their_keys() -> None:
    async def work() -> None:
        async with watched() as account:
            account.bridge.orders = (order(7, symbol="0"), order(8, symbol="EURUSD"))
            await account.open()  # asks for the list
            await account.until(lambda: len(account.told(m.SymbolLearned, ACCOUNT_SYMBOLS)) >= 2)
            await account.until(lambda: account.told(m.AccountSymbols, ACCOUNT_SYMBOLS))
            latest = {r.key: decode(r).message for r in account.log.all(ACCOUNT_SYMBOLS.name)}
            shown = {key.removeprefix(f"{ACCOUNT}/"): type(each) for key, each in latest.items()}
            assert shown == {
                "0": m.AccountSymbols,
                "terms/0": m.SymbolLearned,
                "EURUSD": m.SymbolLearned,
            }

    run(work())


def test_an_accounts_symbols_are_listed_when_it_is_new_and_not_with_each_session() -> None:
    """Whoever maps symbols does so before anything trades, and a master never asks for its own."""

    def lists(account: Watched) -> list[tuple[str, ...]]:
        return [each.names for each in account.told(m.AccountSymbols, ACCOUNT_SYMBOLS)]

    def is_imported(account: Watched) -> bool:
        kept = account.log.state(ACCOUNT_WATCHER.state.name)
        values = (record.value or b"" for part in kept for record in part.values())
        return any(b'"history_done":true' in value for value in values)

    async def work() -> None:
        async with watched() as account:
            await account.until(lambda: lists(account) == [("EURUSD", "0")])
            await account.until(lambda: is_imported(account))
            account.bridge.ends_session(reconnects_s=0.0)
            await account.until(lambda: len(account.told(m.AccountConnected)) == 2)
            await account.looked()
            assert len(lists(account)) == 1

    run(work())
