"""What an operator must know now: raised once per cause, cleared when the cause is gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from copypro.messages import AlertCleared, AlertRaised

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
