"""What each call asks of a key, and whether it leaves a line in the audit trail: one table. Pure.

A call without a row is treated as the strictest there is, and a test asks for the row.
"""

from __future__ import annotations

from copypro.ports import KeyScope
from msgspec import Struct


class Rule(Struct, frozen=True):
    scope: KeyScope
    audited: bool = True


LOOK = Rule(KeyScope.READ, audited=False)
TRADE = Rule(KeyScope.TRADE)
ADMIN = Rule(KeyScope.ADMIN)

RULES: dict[str, Rule] = {
    # users and keys
    "SignUp": ADMIN,
    "SignUpNonHashed": ADMIN,
    "SignIn": ADMIN,
    "PasswordForgot": ADMIN,
    "PasswordReset": ADMIN,
    "Keys": Rule(KeyScope.ADMIN, audited=False),
    "AddKey": ADMIN,
    "RemoveKey": ADMIN,
    # accounts
    "AddAccount": ADMIN,
    "UpdateAccount": ADMIN,
    "RemoveAccount": ADMIN,
    "RemoveAccountByApiId": ADMIN,
    "ChangePassword": ADMIN,
    "ChangePasswordByApiId": ADMIN,
    "ImportStatement": ADMIN,
    "AccountSetEnabled": TRADE,
    "SymbolsEnable": TRADE,
    "Accounts": LOOK,
    "GetAccount": LOOK,
    "OpenOrders": LOOK,
    "ClosedOrders": LOOK,
    "TradeStatsByAccountId": LOOK,
    "TradeStatsByApiId": LOOK,
    "TradeStatsWithoutCharts": LOOK,
    # copiers
    "Start": TRADE,
    "StartByAccountId": TRADE,
    "UpdateCopier": TRADE,
    "CopierPause": TRADE,
    "Remove": TRADE,
    "AddSymbolMapping": TRADE,
    "DeleteSymbolMapping": TRADE,
    "Settle": TRADE,
    "UserCopiers": LOOK,
    "GetCopier": LOOK,
    "MappedSymbols": LOOK,
    "Logs": LOOK,
    "TradeLogs": LOOK,
    "TradeLogsAll": LOOK,
    "Alerts": LOOK,
    "Unresolved": LOOK,
    # the operator's
    "ReplayDeadLetter": ADMIN,
}


def rule_of(call: str) -> Rule:
    return RULES.get(call, ADMIN)
