"""The two simulated brokers of a backtest: the master's, which does what it once did, and the slave's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
from copypro.errors import SettingsError
from copypro.values import Mode, Platform
from msgspec import Struct
from mt_simulator.broker import Brokers
from mt_simulator.control import Clock, Control
from mt_simulator.face import Face
from mt_simulator.knobs import Ledger
from mt_simulator.model import Account, Refusal, Symbol
from mt_simulator.model import Platform as BrokerPlatform
from mt_simulator.mt4_api import Mt4Face
from mt_simulator.mt5_api import Mt5Face

from copypro_standalone.backtest.history import History, Opened
from copypro_standalone.backtest.terms import (
    MOST_LOTS,
    Rate,
    Terms,
    all_majors,
    fault_in,
    first_prices,
    pair_in,
    pair_of,
    slave_name,
)

MASTER, SLAVE = "Master", "Slave"
LOGIN = 1
PASSWORD = "simulated"
NO_MARGIN = 10**9
"""The master's leverage: what it once did, it had the margin for."""
NO_STOP_OUT = Decimal(-(10**12))
OWN_FIELDS = frozenset(Symbol.__struct_fields__) - {"name", "bid", "ask", "quoted_at"}
"""What may be said of a slave's symbol; besides `name`, which is its own name for it."""


class Slave(Struct, frozen=True, kw_only=True):
    """The account that copies, as it would be."""

    platform: Platform
    mode: Mode
    currency: str
    balance: Decimal
    leverage: int = 100
    suffix: str | None = None
    """Its symbols are the bare names with this; None: named as the master's."""
    symbols: Mapping[str, Mapping[str, Any] | None] = {}
    """By the master's name ("*": all): terms that differ; None: it has no such symbol."""
    spread_points: Decimal = Decimal(0)
    slippage_points: Decimal = Decimal(0)


class World:
    def __init__(
        self, history: History, terms: Mapping[str, Terms], clock: Callable[[], datetime]
    ) -> None:
        self._history, self._terms = history, terms
        self._brokers = Brokers()
        shifted, ledger = Clock(clock), Ledger()
        self.faces: dict[Platform, Face] = {
            Platform.MT4: Mt4Face(self._brokers, shifted, ledger),
            Platform.MT5: Mt5Face(self._brokers, shifted, ledger),
        }
        faces = {BrokerPlatform(platform): face for platform, face in self.faces.items()}
        self._control = Control(self._brokers, faces, ledger, shifted)
        self._names: dict[str, str] = {}
        """By the master's symbol: the slave's."""
        self._priced: set[str] = set()
        """Pairs with a price of their own; others follow from two of them."""
        self._widths: dict[str, tuple[Decimal, Decimal]] = {}
        """By the slave's symbol: how far bid and ask are from the master's price."""

    # --- building -----------------------------------------------------------------------------

    def build(
        self, slave: Slave, implied: Mapping[int, Rate], rates: Mapping[str, Decimal]
    ) -> None:
        """Errors: SettingsError for terms that are none, and for a currency nobody can convert."""
        history, control = self._history, self._control
        for server, platform in ((MASTER, history.platform), (SLAVE, slave.platform)):
            control.add_server(
                name=server, platform=platform.value, company=server, offset_minutes=0
            )
        self._add_symbols(slave)
        self._add_rates(implied, rates)
        for symbol, price in first_prices(history.happenings).items():
            self.quote(symbol, price)
        self._check_currency(slave)
        control.add_account(
            server=MASTER,
            platform=history.platform.value,
            login=LOGIN,
            password=PASSWORD,
            balance=str(history.balance),
            currency=history.currency,
            mode=history.mode.value,
            leverage=NO_MARGIN,
            stop_out_percent=str(NO_STOP_OUT),
        )
        control.add_account(
            server=SLAVE,
            platform=slave.platform.value,
            login=LOGIN,
            password=PASSWORD,
            balance=str(slave.balance),
            currency=slave.currency,
            mode=slave.mode.value,
            leverage=slave.leverage,
        )

    def _add_symbols(self, slave: Slave) -> None:
        control = self._control
        every = slave.symbols.get("*") or {}
        for name, terms in self._terms.items():
            step = str(terms.lot_step)
            any_volume = {"lot_min": step, "lot_step": step, "lot_max": str(MOST_LOTS)}
            control.add_symbol(MASTER, **(terms.fields() | any_volume))
            given = slave.symbols.get(name, {})
            if given is None:
                continue
            own = str(given.get("name") or slave_name(name, slave.suffix))
            fields = {**terms.fields(), **every, **given, "name": own}
            try:
                control.add_symbol(SLAVE, **fields)
            except msgspec.ValidationError as error:
                raise SettingsError(f"symbols: {name}: {error}") from None
            symbol = self._brokers.servers[SLAVE].symbols[own]
            if (fault := fault_in(symbol)) is not None:
                raise SettingsError(f"symbols: {name}: {fault}")
            self._names[name] = own
            point = symbol.point
            worse = slave.slippage_points * point
            self._widths[own] = (worse, worse + slave.spread_points * point)
        known = self._brokers.servers[SLAVE].symbols
        for name in all_majors(slave.suffix):
            if name not in known:
                control.add_symbol(SLAVE, name=name)

    def _add_rates(self, implied: Mapping[int, Rate], rates: Mapping[str, Decimal]) -> None:
        """Pairs that convert, and that the master did not trade: on both brokers, by their bare name."""
        first: dict[str, Decimal] = {}
        for rate in implied.values():
            first.setdefault(rate.pair, rate.price)
        for pair, price in {**first, **rates}.items():
            self.quote_rate(Rate(pair, price))

    def quote_rate(self, rate: Rate) -> None:
        self._set_rate(rate.pair, rate.price)
        self._quote_pair(rate.pair, rate.price)

    def _set_rate(self, pair: str, price: Decimal) -> None:
        """Also where a broker's names do not show the pair as the simulator looks for it. The simulator
        goes from one currency to another by the dollar: EURSEK and EURUSD tell USDSEK.
        """
        self._priced.add(pair)
        rates = self._brokers.servers[SLAVE].rates
        told = {pair: price}
        for hub, other, worth in ((pair[:3], pair[3:], price), (pair[3:], pair[:3], 1 / price)):
            cross, dollar = pair_of(other, "USD"), pair_of(hub, "USD")
            if "USD" in (hub, other) or dollar not in rates or cross in self._priced:
                continue
            in_dollars = rates[dollar] if dollar.startswith(hub) else 1 / rates[dollar]
            worth_usd = in_dollars / worth
            told[cross] = worth_usd if cross.startswith(other) else 1 / worth_usd
        for server in (MASTER, SLAVE):
            self._brokers.servers[server].rates.update(told)

    def unconverted(self, currency: str) -> list[str]:
        """Currencies of the slave's prices that nobody could say the worth of in `currency`."""
        missing: dict[str, None] = {}
        for terms in self._terms.values():
            try:
                self._brokers.rate(self._brokers.servers[SLAVE], terms.profit_currency, currency)
            except Refusal:
                missing[terms.profit_currency] = None
        return list(missing)

    def _quote_pair(self, pair: str, price: Decimal) -> None:
        """On the slave's side as a symbol too: the copier asks for the prices by which it converts."""
        symbols = self._brokers.servers[SLAVE].symbols
        own = next((name for name in symbols if pair_in(name) == pair), None)
        if own is None:
            self._control.add_symbol(SLAVE, name=pair, digits=5)
            own = pair
        if own not in self._names.values():
            self._control.quote(SLAVE, own, str(price), str(price))

    def _check_currency(self, slave: Slave) -> None:
        currency = self._history.currency
        try:
            self._brokers.rate(self._brokers.servers[SLAVE], currency, slave.currency)
        except Refusal:
            raise SettingsError(
                f"currency: nothing in the history says what {currency} is worth in"
                f" {slave.currency}: give it by --rate, such as --rate EURUSD=1.10"
            ) from None

    # --- prices -------------------------------------------------------------------------------

    def quote(self, symbol: str, price: Decimal) -> None:
        """At both brokers, the slave's first: its price is there when the master trades. A price that
        the history does not tell (0) moves nothing.
        """
        if price <= 0:
            return
        pair = pair_in(symbol)
        if pair is not None:
            self._set_rate(pair, price)
        own = self._names.get(symbol)
        if own is not None:
            below, above = self._widths[own]
            self._control.quote(SLAVE, own, str(price - below), str(price + above))
        self._control.quote(MASTER, symbol, str(price), str(price))

    # --- the master's hand --------------------------------------------------------------------

    @property
    def _master(self) -> Account:
        return self._brokers.account(MASTER, LOGIN)

    def symbol_of(self, ticket: int) -> str | None:
        order = self._master.orders.get(ticket)
        return None if order is None else order.symbol

    def open(self, opened: Opened) -> int:
        """Its ticket. Errors: Refusal."""
        symbol = self._brokers.servers[MASTER].symbols[opened.symbol]
        symbol.commission_per_lot = -opened.cost / opened.lots if opened.cost else Decimal(0)
        return self._control.open(
            MASTER,
            LOGIN,
            opened.symbol,
            opened.side.value,
            str(opened.lots),
            stop_loss=str(opened.stop_loss or 0),
            take_profit=str(opened.take_profit or 0),
            magic=opened.magic,
            comment=opened.comment,
        )

    def increase(self, ticket: int, lots: Decimal) -> None:
        """Netting: a further trade of the same side; hedging: a further fill of the order."""
        order = self._master.orders.get(ticket)
        if order is None:
            return
        if self._master.mode == "Netting":
            kind = "Buy" if order.buy else "Sell"
            self._control.open(MASTER, LOGIN, order.symbol, kind, str(lots))
        else:
            self._control.fill_more(MASTER, LOGIN, ticket, str(lots))

    def modify(self, ticket: int, stop_loss: Decimal | None, take_profit: Decimal | None) -> None:
        if ticket in self._master.orders:
            self._control.modify(MASTER, LOGIN, ticket, str(stop_loss or 0), str(take_profit or 0))

    def will_book(self, ticket: int, lots: Decimal, price: Decimal, result: Decimal) -> None:
        """The next close of so many lots at this price moves the balance by exactly this much."""
        account = self._master
        order = account.orders.get(ticket)
        if order is not None and lots > 0:
            try:
                simulated = self._brokers.profit(account, order, price, lots)
            except Refusal:
                return
            order.swap = (result - simulated) * order.lots / lots

    def close(self, ticket: int, lots: Decimal) -> int:
        """The ticket of what is left, 0 for nothing. Errors: Refusal."""
        orders = self._master.orders
        order = orders.get(ticket)
        if order is None:
            return 0
        if lots <= 0:
            return ticket  # the other half of a close-by: nothing of it is left to close
        all_of_it = lots >= order.lots
        left = self._control.close(MASTER, LOGIN, ticket, "0" if all_of_it else str(lots))
        if left in orders:
            orders[left].swap = Decimal(0)
        return left

    def pay(self, amount: Decimal, *, is_credit: bool) -> None:
        kind = "Credit" if is_credit else "Balance"
        self._control.deposit(MASTER, LOGIN, str(amount), kind)
