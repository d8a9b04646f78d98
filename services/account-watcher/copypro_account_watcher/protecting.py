"""The equity protectors of one account: each look is held against them, and what they ask is begun.

The rules are `copypro.protection`. What a protector decides is recorded in the look's own turn
with everything that it begins: its event, the copies that are to be closed, the wish to flatten. So
it acts once, and what was begun goes on after a restart by the same steps as any other close.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from decimal import Decimal

from copypro.messages import (
    BalanceChanged,
    CommandDenied,
    EquityProtectorCallbackSet,
    EquityProtectorReset,
    EquityProtectorTriggered,
    EquityProtectorUpdated,
    OrderEvent,
    Rights,
    SetEquityProtectorCallback,
    UpdateEquityProtector,
)
from copypro.options import CopierOptions
from copypro.protection import (
    CODE,
    FLOWS,
    Protector,
    Seen,
    armed,
    disarmed,
    flat,
    is_reached,
    looked,
)
from copypro.protection import problem as problem_with
from copypro.trading import Figures, OpenOrder
from copypro.values import (
    CopierId,
    CopyId,
    MessageId,
    RegistrationId,
    RootId,
    digest,
    leg_tag,
)

from copypro_account_watcher.alerts import clear_alert, raise_alert
from copypro_account_watcher.host import Host
from copypro_account_watcher.keys import Keys
from copypro_account_watcher.market import Market
from copypro_account_watcher.memory import Memory
from copypro_account_watcher.session import Session
from copypro_account_watcher.state import Copy, Leg, LegStatus, Origin, Registration
from copypro_account_watcher.turn import Turn

UNKNOWN = CommandDenied(code="UNKNOWN_ACCOUNT", message="no such account")


class Protecting:
    def __init__(
        self, memory: Memory, host: Host, session: Session, market: Market, keys: Keys
    ) -> None:
        self._memory, self._host, self._session = memory, host, session
        self._market, self._keys = market, keys
        self._flows: list[BalanceChanged] = []
        """Of the look that is being taken."""
        self._looked_at = float("-inf")
        self._held: frozenset[str] = frozenset()
        self._timer: asyncio.TimerHandle | None = None

    # --- looks --------------------------------------------------------------------------------

    @property
    def is_wanted(self) -> bool:
        """Somebody has one that is on: why money moved matters."""
        account = self._memory.account
        known = () if account is None else account.registrations.values()
        return any(r.protector is not None and r.protector.settings.enabled for r in known)

    def told(self, event: OrderEvent) -> None:
        if isinstance(event, BalanceChanged) and event.kind in FLOWS:
            self._flows.append(event)

    def looked(
        self,
        orders: Sequence[OpenOrder],
        figures: Figures,
        turn: Turn,
        *,
        whole: bool,
        settled: bool,
        paid: Decimal,
    ) -> None:
        """After what the look showed was recorded. `whole`: a snapshot, with all figures; a frame only
        asks for one. `settled`: no money is in doubt, or that waited long enough. `paid`: what moved
        while no trade did, and that nothing has told yet.
        """
        flows, self._flows = self._flows, []
        account = self._memory.account
        self._looked_at = self._host.monotonic()
        self._held = frozenset()
        if account is None or not any(r.protector for r in account.registrations.values()):
            return
        seen = Seen(
            balance=figures.balance,
            credit=figures.credit if whole else None,
            equity=figures.equity,
            at_utc=turn.now,
            clock_offset_minutes=account.clock_offset_minutes,
            flows=tuple(flow.amount for flow in flows),
            settled=settled,
            paid=paid,
        )
        for registration in account.registrations.values():
            if registration.protector is not None:
                self._follow(registration, registration.protector, seen, turn)
                self._flatten(registration, orders, turn)
        self._follow_prices(orders)

    def _follow(
        self, registration: Registration, former: Protector, seen: Seen, turn: Turn
    ) -> None:
        now = looked(former, seen)
        if seen.credit is None and is_reached(now, seen):
            self._session.look_soon()  # a frame; for money in doubt history is asked again
        if now == former:
            return
        registration.protector = now
        self._memory.save_account(turn)
        name = registration.registration
        if former.day and now.day != former.day:
            self._tell(EquityProtectorReset, name, now, turn)
            self._clear(name, turn)
        elif (now.start_balance, now.day) != (former.start_balance, former.day):
            self._tell(EquityProtectorUpdated, name, now, turn)
        if now.tripped is not None and now.tripped != former.tripped:
            self._trip(name, now, turn)

    def _tell(
        self,
        kind: type[EquityProtectorUpdated | EquityProtectorReset | EquityProtectorTriggered],
        registration: RegistrationId,
        protector: Protector,
        turn: Turn,
    ) -> None:
        event = kind(account=self._memory.id, registration=registration, protector=protector)
        turn.fact(self._memory.id, event, registration, protector.serial)

    # --- what it does -------------------------------------------------------------------------

    def _trip(self, registration: RegistrationId, protector: Protector, turn: Turn) -> None:
        self._tell(EquityProtectorTriggered, registration, protector, turn)
        settings, numbers = protector.settings, protector.numbers
        if settings.alert:
            text = (
                f"equity {numbers['equity']} reached {numbers['rule']}, which is {numbers['limit']}"
            )
            cause = _cause(registration)
            numbers_shown = numbers | {"registration": registration}
            raise_alert(self._memory, turn, "EQUITY_PROTECTION", cause, text, **numbers_shown)
        for copy in list(self._memory.copies.values()):
            is_own = settings.close_copied_trades and copy.registration == registration
            if settings.close_all_trades or is_own:
                self._close(copy, numbers, turn)
        self._memory.touch_all()

    def _close(self, copy: Copy, numbers: dict[str, str], turn: Turn) -> None:
        """What its owner took in hand is no copy of ours any more: flattening finds it in the list."""
        if copy.closing or copy.detached:
            return
        copy.close(CODE, turn.now)
        copy.closing_numbers = numbers
        self._memory.touch(copy, turn)

    def _flatten(self, registration: Registration, orders: Sequence[OpenOrder], turn: Turn) -> None:
        """Whatever the list shows and nothing of ours is closing yet; until it shows nothing."""
        protector = registration.protector
        if protector is None or not protector.flattening:
            return
        memory = self._memory
        if not orders:
            done = flat(protector)
            registration.protector = done
            memory.save_account(turn)
            self._tell(EquityProtectorUpdated, registration.registration, done, turn)
            return
        for copy in list(memory.copies.values()):
            self._close(copy, protector.numbers, turn)
        for order in orders:
            if not self._is_in_hand(order):
                self._take(order, registration.registration, protector, turn)

    def _is_in_hand(self, order: OpenOrder) -> bool:
        """A leg of ours, which is closed as one. What only carries our tag (an open that nobody has
        answered yet, a second fill) is claimed, and then closed as what it is.
        """
        memory = self._memory
        if order.ticket in memory.live.just_ended:
            return True
        legs = (leg for copy in memory.copies.values() for leg in copy.live_legs)
        if any(leg.ticket == order.ticket for leg in legs):
            return True
        tagged = memory.tagged(order)
        return tagged is not None and tagged[1].status is not LegStatus.LEFT

    def _take(
        self, order: OpenOrder, registration: RegistrationId, protector: Protector, turn: Turn
    ) -> None:
        """A trade of nobody's here becomes a copy that is only to be closed: with attempts, answers,
        doubts and alarms like any other. Its master is the account itself.
        """
        memory = self._memory
        account = memory.known
        account.serial += 1
        memory.save_account(turn)
        id_ = CopyId(digest("flatten", memory.id, order.ticket, account.serial))
        root = memory.book.root_of(order.ticket)
        leg = Leg(
            number=0,
            tag=leg_tag(id_, 0),
            status=LegStatus.PLACED if order.kind.is_pending else LegStatus.OPEN,
            ticket=order.ticket,
            original_lots=order.lots,
            lots=order.lots,
            open_price=order.open_price,
            set_stop_loss=order.stop_loss,
            set_take_profit=order.take_profit,
            slave_root=root,
        )
        origin = MessageId(digest("flatten", id_))
        copy = Copy(
            copy=id_,
            copier=CopierId(registration),
            registration=registration,
            master=memory.id,
            slave=memory.id,
            root=RootId(str(order.ticket)) if root is None else root,
            master_symbol=order.symbol,
            symbol=order.symbol,
            side=order.kind.side,
            options=CopierOptions(),
            same_server=True,
            magic=order.magic,
            origin=Origin(origin, origin),
            legs=[leg],
            closing=CODE,
            closing_numbers=protector.numbers,
            closing_since_utc=turn.now,
            forget=True,
        )
        memory.know(copy)
        memory.touch(copy, turn)

    # --- prices -------------------------------------------------------------------------------

    def _follow_prices(self, orders: Sequence[OpenOrder]) -> None:
        registrations = self._memory.known.registrations.values()
        if not any(r.protector is not None and r.protector.is_armed for r in registrations):
            return
        self._held = frozenset(order.symbol for order in orders if not order.kind.is_pending)
        for symbol in self._held:
            self._market.follow_quotes(symbol)

    def quoted(self, symbol: str) -> None:
        """A price that equity depends on moved: look again, at most one look each `protect_every_s`."""
        if symbol not in self._held or self._timer is not None:
            return
        host = self._host
        wait_s = self._looked_at + host.limits.protect_every_s - host.monotonic()
        self._timer = asyncio.get_running_loop().call_later(max(0.0, wait_s), self._due)

    def _due(self) -> None:
        self._timer = None
        self._session.look_soon()

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # --- rights -------------------------------------------------------------------------------

    def follow_rights(self, registration: Registration, turn: Turn) -> None:
        """Whoever may not trade on the account has nothing closed there either. Its user believes in
        it and must know; the right alone, proved again, does not bring it back.
        """
        protector, name = registration.protector, registration.registration
        if registration.rights is Rights.TRADE or protector is None:
            return
        if not protector.settings.enabled:
            return
        registration.protector = off = disarmed(protector)
        self._memory.save_account(turn)
        self._tell(EquityProtectorUpdated, name, off, turn)
        text = (
            f"the equity protector of {registration.name} is off: its password may not trade any"
            f" more (rights: {registration.rights.value}); prove one that may, then set it anew"
        )
        raise_alert(self._memory, turn, "PROTECTOR_OFF", _off(name), text, registration=name)

    # --- commands -----------------------------------------------------------------------------

    def update(self, command: UpdateEquityProtector, origin: Origin, turn: Turn) -> None:
        memory = self._memory
        registration = self._registration(command.registration)
        wrong = problem_with(command.settings)
        if registration is None:
            turn.answer(self._memory.id, origin, UNKNOWN)
            return
        if wrong is not None:
            denied = CommandDenied(code="INVALID_PARAMETER", message=": ".join(wrong))
            turn.answer(self._memory.id, origin, denied)
            return
        registration.protector = armed(registration.protector, command.settings)
        memory.save_account(turn)
        self._clear(command.registration, turn)
        clear_alert(memory, turn, _off(command.registration))
        updated = EquityProtectorUpdated(
            account=memory.id,
            registration=command.registration,
            protector=registration.protector,
        )
        turn.answer(self._memory.id, origin, updated)
        memory.touch_all()
        turn.then(lambda _: self._session.look_soon())

    def set_callback(self, command: SetEquityProtectorCallback, origin: Origin, turn: Turn) -> None:
        """Nothing here needs it: who posts learns it from the event."""
        if self._registration(command.registration) is None:
            if command.callback is not None:
                self._keys.doom(command.registration, turn)  # sealing it made its data key anew
            turn.answer(self._memory.id, origin, UNKNOWN)
            return
        answer = EquityProtectorCallbackSet(
            account=self._memory.id,
            registration=command.registration,
            callback=command.callback,
        )
        turn.answer(self._memory.id, origin, answer)

    def _registration(self, registration: RegistrationId) -> Registration | None:
        account = self._memory.account
        return None if account is None else account.registrations.get(registration)

    def _clear(self, registration: RegistrationId, turn: Turn) -> None:
        clear_alert(self._memory, turn, _cause(registration))


def _cause(registration: RegistrationId) -> str:
    return f"equity-protector/{registration}"


def _off(registration: RegistrationId) -> str:
    return f"equity-protector-off/{registration}"
