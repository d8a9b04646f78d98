"""The command's inputs, checked: each error names the option and the fix."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import msgspec
from copypro.errors import BadStatement, LogCorrupt, SettingsError
from copypro.options import CopierOptions, SymbolMapping
from copypro.settings import Settings
from copypro.values import LARGEST, Mode, Platform
from copypro_gateway.subjects.symbols import AddSymbolMapping
from copypro_gateway.wording.errors import ApiError
from copypro_gateway.wording.options import Options
from copypro_gateway.wording.parameters import Parameters
from copypro_gateway.wording.reading import read
from msgspec import Struct

from copypro_standalone.backtest import sources
from copypro_standalone.backtest.history import History, begun, with_stops
from copypro_standalone.backtest.playing import Plan, Played, Replay
from copypro_standalone.backtest.report import Summary, summary_of
from copypro_standalone.backtest.results import Results, results_of
from copypro_standalone.backtest.terms import (
    KNOWABLE,
    fault_in,
    implied_rates,
    pair_in,
    terms_of,
)
from copypro_standalone.backtest.virtual_time import run as run_virtually
from copypro_standalone.backtest.world import OWN_FIELDS, Slave
from copypro_standalone.report.facts import facts_of
from copypro_standalone.report.page import page

OPTIONS = {
    field.alias or name: name
    for name, field in Options.model_fields.items()
    if name not in Parameters.model_fields
}
"""Start's options, by their names in REST."""


class Wish(Struct, frozen=True, kw_only=True):
    """As typed."""

    source: str
    options: Sequence[str] = ()
    options_file: Path | None = None
    platform: str = "MT5"
    mode: str = "Hedging"
    currency: str = ""
    balance: str = "10000"
    leverage: int = 100
    suffix: str | None = None
    symbols: Path | None = None
    master_symbols: Path | None = None
    maps: Sequence[str] = ()
    rates: Sequence[str] = ()
    spread: str = "0"
    slippage: str = "0"
    master_balance: str = ""
    master_currency: str = ""
    stops: bool = False
    lenient: bool = False


class Answer(Struct, frozen=True):
    summary: Summary
    results: Results
    played: Played


def backtest(settings: Settings, wish: Wish) -> Answer:
    """Errors: SettingsError and BadStatement, which say what to change; LogCorrupt and the like for a
    data folder that cannot be read; ServiceEnded when the copier itself broke.
    """
    given = given_options(wish)
    history = with_stops(_history(settings, wish), wanted=wish.stops)
    slave, known = (
        slave_of(wish, history),
        _symbols("master-symbols", wish.master_symbols, KNOWABLE),
    )
    plan = plan_of(history, slave, given, _maps(wish), _rates(wish), known)
    played, results = played_and_found(plan)
    return Answer(summary_of(plan, played, results, given), results, played)


def page_of(answer: Answer) -> str:
    """The slave as `copypro report` shows an account."""
    played = answer.played
    facts = run_virtually(facts_of(played.memory.models, played.slave, simulated=True))
    return page(facts)


def played_and_found(plan: Plan) -> tuple[Played, Results]:
    async def both() -> tuple[Played, Results]:
        played = await Replay(plan).run()
        return played, await results_of(plan, played)

    return run_virtually(both())


def plan_of(
    history: History,
    slave: Slave,
    options: Mapping[str, Any],
    mappings: Sequence[SymbolMapping] = (),
    rates: Mapping[str, Decimal] | None = None,
    known: Mapping[str, Mapping[str, Any]] | None = None,
) -> Plan:
    """`known`: terms of the master's symbols. Errors: SettingsError for options that Start refuses too,
    and for a history without trades.
    """
    if not any(history.opened()):
        raise SettingsError(f"{history.name}: there is no trade whose opening is known in it")
    _check_names("master-symbols", known or {}, history)
    _check_names("symbols", slave.symbols, history)
    try:
        terms = terms_of(history, known)
    except msgspec.ValidationError as error:
        raise SettingsError(f"master-symbols: {error}") from None
    for name, symbol in terms.items():
        if (fault := fault_in(symbol)) is not None:
            raise SettingsError(f"master-symbols: {name}: {fault}")
    traded = {pair_in(name) for name in terms}
    implied = {
        place: rate
        for place, rate in implied_rates(history, terms).items()
        if rate.pair not in traded and rate.pair not in (rates or {})
    }
    return Plan(
        history=history,
        terms=terms,
        slave=slave,
        options=checked(options),
        mappings=mappings,
        implied=implied,
        rates=rates or {},
    )


def _check_names(option: str, given: Mapping[str, Any], history: History) -> None:
    traded = list(dict.fromkeys(one.symbol for one in history.opened()))
    for name in given:
        if name != "*" and name not in traded:
            raise SettingsError(
                f"{option}: the master never traded {name}; it traded {', '.join(traded)}"
            )


# --- the master ---------------------------------------------------------------------------------


def _history(settings: Settings, wish: Wish) -> History:
    path = Path(wish.source)
    balance = _number("master-balance", wish.master_balance) if wish.master_balance else None
    if balance is not None and balance < 0:
        raise SettingsError(f"master-balance: {balance} is below 0")
    told = _currency("master-currency", wish.master_currency)
    if path.is_file():
        currency = told or _currency("currency", wish.currency) or "USD"
        history = sources.of_file(path, lenient=wish.lenient, currency=currency, balance=balance)
    elif path.suffix.casefold() in (".htm", ".html", ".xlsx", ".csv"):
        raise BadStatement(f"{path}: no such file")
    else:
        history = _of_account(settings, wish.source, balance)
    if not history.currency:
        raise SettingsError("master-currency: the history does not say it: give --master-currency")
    return begun(history)


def _of_account(settings: Settings, account: str, balance: Decimal | None) -> History:
    try:
        return asyncio.run(sources.of_account(settings, account, balance))
    except LogCorrupt as error:
        raise SettingsError(f"{account}: no such file; as an account: {error}") from None


# --- the copier ---------------------------------------------------------------------------------


def given_options(wish: Wish) -> dict[str, Any]:
    """Of the file, and over it those typed. Errors: SettingsError."""
    given: dict[str, Any] = {}
    if wish.options_file is not None:
        given |= _object("options", wish.options_file)
    for text in wish.options:
        name, is_pair, value = text.partition("=")
        if not is_pair:
            raise SettingsError(f"option: {text} is not name=value, such as riskType=FixedLot")
        given[name.strip()] = value.strip()
    return {_option(name): value for name, value in given.items()}


def _option(name: str) -> str:
    """By its name in REST, in any letter case, as there."""
    known = next((option for option in OPTIONS if option.casefold() == name.casefold()), None)
    if known is None:
        near = get_close_matches(name, OPTIONS, n=1)
        hint = f": did you mean {near[0]}?" if near else f"; there are {', '.join(OPTIONS)}"
        raise SettingsError(f"option: there is no {name}{hint}")
    return known


def checked(options: Mapping[str, Any]) -> CopierOptions:
    """By the same reading as Start's. Errors: SettingsError that names the option."""
    written = {name.lower(): [value] for name, value in options.items()}
    try:
        return read(Options, written).to_options()
    except ApiError as error:
        raise SettingsError(error.message) from None


def _maps(wish: Wish) -> list[SymbolMapping]:
    found = []
    for text in wish.maps:
        master, is_pair, slave = text.partition("=")
        if not is_pair or not master or not slave:
            raise SettingsError(f"map: {text} is not MASTER=SLAVE, such as XAUUSD=GOLD")
        try:
            given = AddSymbolMapping.model_validate(
                {"id": "-", "masterSymbol": master, "slaveSymbol": slave}
            )
            found.append(given.to_mapping())
        except ApiError as error:
            raise SettingsError(f"map: {error.message}") from None
    return found


# --- the slave ----------------------------------------------------------------------------------


def slave_of(wish: Wish, history: History) -> Slave:
    """Errors: SettingsError that names the option."""
    platform = _one_of("platform", wish.platform.upper(), Platform)
    mode = _one_of("mode", wish.mode.capitalize(), Mode)
    if platform is Platform.MT4 and mode is Mode.NETTING:
        raise SettingsError("mode: MT4 accounts are always Hedging")
    balance = _number("balance", wish.balance)
    if balance <= 0:
        raise SettingsError(f"balance: {balance} is not above 0")
    if wish.leverage < 1:
        raise SettingsError(f"leverage: {wish.leverage} is not 1 or above")
    _check_size("leverage", str(wish.leverage), Decimal(wish.leverage))
    return Slave(
        platform=platform,
        mode=mode,
        currency=_currency("currency", wish.currency) or history.currency.upper(),
        balance=balance,
        leverage=wish.leverage,
        suffix=wish.suffix,
        symbols=_symbols("symbols", wish.symbols, OWN_FIELDS, of_slave=True),
        spread_points=_points("spread", wish.spread),
        slippage_points=_points("slippage", wish.slippage),
    )


def _symbols(
    option: str, path: Path | None, fields: Collection[str], *, of_slave: bool = False
) -> dict[str, Any]:
    """Terms by the master's names. A slave's may also be null (it has none), of all ("*"), and named."""
    found = {} if path is None else _object(option, path)
    for name, given in found.items():
        is_all = of_slave and name == "*"
        if given is None and of_slave and not is_all:
            continue
        if not isinstance(given, dict):
            raise SettingsError(f"{option}: {name}: expected an object of terms")
        for field in given:
            if field not in fields and not (of_slave and not is_all and field == "name"):
                known = ", ".join(sorted(fields))
                raise SettingsError(f"{option}: {name}: there is no {field}; there are {known}")
    return found


def _rates(wish: Wish) -> dict[str, Decimal]:
    rates = {}
    for text in wish.rates:
        pair, is_pair, price = text.partition("=")
        if not is_pair or not re.fullmatch("[A-Za-z]{6}", pair):
            raise SettingsError(f"rate: {text} is not PAIR=PRICE, such as EURUSD=1.10")
        rates[pair.upper()] = _number("rate", price)
        if rates[pair.upper()] <= 0:
            raise SettingsError(f"rate: {text} is not above 0")
    return rates


# --- reading ------------------------------------------------------------------------------------


def _object(option: str, path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{option}: {path}: {error.strerror}") from None
    except ValueError as error:
        raise SettingsError(f"{option}: {path} is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise SettingsError(f"{option}: {path}: expected one JSON object")
    return found


def _number(option: str, text: str) -> Decimal:
    try:
        number = Decimal(text)
    except InvalidOperation:
        number = Decimal("nan")
    if not number.is_finite():
        raise SettingsError(f"{option}: {text} is not a number")
    _check_size(option, text, number)
    return number


def _check_size(option: str, text: str, number: Decimal) -> None:
    if number > LARGEST:
        raise SettingsError(f"{option}: {text} is above {LARGEST:,}")


def _currency(option: str, text: str) -> str:
    """Empty: none was given."""
    if text and not re.fullmatch("[A-Za-z]{3}", text):
        raise SettingsError(f"{option}: {text} is not a currency's three letters, such as EUR")
    return text.upper()


def _points(option: str, text: str) -> Decimal:
    points = _number(option, text)
    if points < 0:
        raise SettingsError(f"{option}: {points} points: give 0 or more")
    return points


def _one_of(option: str, text: str, kind: Any) -> Any:
    try:
        return kind(text)
    except ValueError:
        known = ", ".join(kind)
        raise SettingsError(f"{option}: {text} is none of {known}") from None
