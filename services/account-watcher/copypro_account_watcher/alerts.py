"""What an operator must know now: raised once per cause, cleared when the cause is gone."""

from __future__ import annotations

from collections.abc import Container

from copypro.messages import (
    AlertCleared,
    AlertRaised,
    CopyDetached,
    OrderEvent,
    PositionClosed,
    PositionOpened,
    PositionReduced,
    Seen,
)
from copypro.trading import CloseReason
from copypro.values import CopierId, Ticket

from copypro_account_watcher.memory import Memory
from copypro_account_watcher.turn import Turn


def raise_alert(
    memory: Memory, turn: Turn, code: str, cause: str, text: str, **numbers: object
) -> None:
    account = memory.account
    if account is None or cause in account.alerts:
        return
    account.alerts[cause] = code
    account.serial += 1
    memory.save_account(turn)
    alert = AlertRaised(
        account=memory.id,
        code=code,
        cause=cause,
        text=text,
        numbers={name: str(value) for name, value in numbers.items()},
    )
    turn.fact(memory.id, alert, cause, account.serial)


def clear_alert(memory: Memory, turn: Turn, cause: str) -> None:
    account = memory.account
    if account is None or account.alerts.pop(cause, None) is None:
        return
    account.serial += 1
    memory.save_account(turn)
    turn.fact(memory.id, AlertCleared(account=memory.id, cause=cause), cause, account.serial)


def clear_all_but(memory: Memory, turn: Turn, kind: str, standing: Container[Ticket]) -> None:
    """Of the causes `kind` + ticket, also those of before a restart."""
    for cause in [cause for cause in memory.known.alerts if cause.startswith(kind)]:
        if Ticket(int(cause.removeprefix(kind))) not in standing:
            clear_alert(memory, turn, cause)


def halt(
    memory: Memory, copier: CopierId, ticket: Ticket, code: str, text: str, turn: Turn
) -> None:
    """Something that must not happen did: this copier opens nothing more here until a person has looked
    at the ticket and settled it.
    """
    memory.known.halted[ticket] = copier
    memory.save_account(turn)
    raise_alert(memory, turn, code, f"halt/{ticket}", text, ticket=ticket, copier=copier)


def settle_halt(memory: Memory, ticket: Ticket, turn: Turn) -> bool:
    """False: there was nothing to settle."""
    if memory.known.halted.pop(ticket, None) is None:
        return False
    clear_alert(memory, turn, f"halt/{ticket}")
    return True


def tell_left_open(memory: Memory, event: CopyDetached, turn: Turn) -> None:
    """One alert a position that stands and that nothing here closes any more, until it is closed."""
    if event.left and event.ticket is not None:
        cause = f"left/{memory.book.root_of(event.ticket) or event.ticket}"
        text = f"{event.left}: its master, or its own registration, was removed"
        raise_alert(
            memory, turn, "LEFT_OPEN", cause, text, ticket=event.ticket, copier=event.copier
        )


def follow_left_open(memory: Memory, event: OrderEvent, turn: Turn) -> None:
    if isinstance(event, PositionClosed):
        for name in (event.root, event.ticket):
            clear_alert(memory, turn, f"left/{name}")


def follow_stop_outs(memory: Memory, event: OrderEvent, turn: Turn) -> None:
    """The account is being liquidated, maybe ticket by ticket: one alert, until it trades again."""
    match event:
        case PositionClosed() | PositionReduced() if event.reason is CloseReason.STOP_OUT:
            text = f"the broker closes positions for lack of margin, first ticket {event.ticket}"
            raise_alert(memory, turn, "STOP_OUT", "stop-out", text, ticket=event.ticket)
        case PositionOpened() if event.seen is not Seen.IMPORTED:
            clear_alert(memory, turn, "stop-out")
