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
    "AccountWithSummary": LOOK,
    "AccountsWithSummary": LOOK,
    "AccountWithTradeSummary": LOOK,
    "AccountsWithTradeSummary": LOOK,
    "SymbolList": LOOK,
    "SymbolParamsLite": LOOK,
    "ServerNames": LOOK,
    "Commands": LOOK,
    "OpenOrders": LOOK,
    "OpenOrdersAll": LOOK,
    "ClosedOrders": LOOK,
    "ClosedOrdersAll": LOOK,
    "TradeStatsByAccountId": LOOK,
    "TradeStatsByApiId": LOOK,
    "TradeStatsWithoutCharts": LOOK,
    "CopyQuality": LOOK,
    # copiers
    "Start": TRADE,
    "StartByAccountId": TRADE,
    "UpdateCopier": TRADE,
    "CopierPause": TRADE,
    "Remove": TRADE,
    "AddSymbolMapping": TRADE,
    "DeleteSymbolMapping": TRADE,
    "UpdateEquityProtector": TRADE,
    "UpdateEquityProtectorCallback": TRADE,
    "TestEquityProtectorCallback": TRADE,
    "SetTradeLogCallback": TRADE,
    "TestTradeLogCallback": TRADE,
    "Settle": TRADE,
    "UserCopiers": LOOK,
    "GetCopier": LOOK,
    "MappedSymbols": LOOK,
    "Logs": LOOK,
    "TradeLogs": LOOK,
    "TradeLogsAll": LOOK,
    "Alerts": LOOK,
    "Unresolved": LOOK,
    # the operator's: no key of a user's does, whatever its scope
    "ReplayDeadLetter": ADMIN,
    "Manager/TogglePauseCopier": ADMIN,
    "Manager/UnPauseAll": ADMIN,
    "GetUserByEmail": LOOK,
    "Manager/Users": LOOK,
    "Manager/Accounts": LOOK,
    "Manager/UserAccounts": LOOK,
    "Manager/Copiers": LOOK,
    "Manager/UserCopiers": LOOK,
    "Manager/RemovedCopiers": LOOK,
    "Manager/UserRemovedCopiers": LOOK,
    "Manager/UserFailedAddAccounts": LOOK,
    "Manager/UserFailedStarts": LOOK,
    "Manager/CopierLogs": LOOK,
    "Manager/CopierTradeLogs": LOOK,
}


def rule_of(call: str) -> Rule:
    return RULES.get(call, ADMIN)
