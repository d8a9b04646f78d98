"""What an operator must know now: raised once per cause, cleared when the cause is gone."""

from __future__ import annotations

from collections.abc import Container
from typing import TYPE_CHECKING

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
from copypro.values import Ticket

from copypro_account_watcher.turn import Turn

if TYPE_CHECKING:
    from copypro_account_watcher.agent import AccountAgent


def raise_alert(
    agent: AccountAgent, turn: Turn, code: str, cause: str, text: str, **numbers: object
) -> None:
    account = agent.account
    if account is None or cause in account.alerts:
        return
    account.alerts[cause] = code
    account.serial += 1
    agent.save_account(turn)
    alert = AlertRaised(
        account=agent.id,
        code=code,
        cause=cause,
        text=text,
        numbers={name: str(value) for name, value in numbers.items()},
    )
    turn.fact(agent.id, alert, cause, account.serial)


def clear_alert(agent: AccountAgent, turn: Turn, cause: str) -> None:
    account = agent.account
    if account is None or account.alerts.pop(cause, None) is None:
        return
    account.serial += 1
    agent.save_account(turn)
    turn.fact(agent.id, AlertCleared(account=agent.id, cause=cause), cause, account.serial)


def clear_all_but(agent: AccountAgent, turn: Turn, kind: str, standing: Container[Ticket]) -> None:
    """Of the causes `kind` + ticket, also those of before a restart."""
    for cause in [cause for cause in agent.known.alerts if cause.startswith(kind)]:
        if Ticket(int(cause.removeprefix(kind))) not in standing:
            clear_alert(agent, turn, cause)


def tell_left_open(agent: AccountAgent, event: CopyDetached, turn: Turn) -> None:
    """One alert a position that stands and that nothing here closes any more, until it is closed."""
    if event.left and event.ticket is not None:
        cause = f"left/{agent.book.root_of(event.ticket) or event.ticket}"
        text = f"{event.left}: its master, or its own registration, was removed"
        raise_alert(agent, turn, "LEFT_OPEN", cause, text, ticket=event.ticket, copier=event.copier)


def follow_left_open(agent: AccountAgent, event: OrderEvent, turn: Turn) -> None:
    if isinstance(event, PositionClosed):
        for name in (event.root, event.ticket):
            clear_alert(agent, turn, f"left/{name}")


def follow_stop_outs(agent: AccountAgent, event: OrderEvent, turn: Turn) -> None:
    """The account is being liquidated, maybe ticket by ticket: one alert, until it trades again."""
    match event:
        case PositionClosed() | PositionReduced() if event.reason is CloseReason.STOP_OUT:
            text = f"the broker closes positions for lack of margin, first ticket {event.ticket}"
            raise_alert(agent, turn, "STOP_OUT", "stop-out", text, ticket=event.ticket)
        case PositionOpened() if event.seen is not Seen.IMPORTED:
            clear_alert(agent, turn, "stop-out")
