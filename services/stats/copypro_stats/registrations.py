"""A user's entry for an account, as it is shown to him. Pure."""

from __future__ import annotations

import msgspec
from copypro import collections as c
from copypro import messages as m

from copypro_stats.patch import Fields, Patch, callback_of, where_told

Protected = m.EquityProtectorUpdated | m.EquityProtectorReset | m.EquityProtectorTriggered


def registered(event: m.AccountRegistered) -> list[Patch]:
    shown = _shown(event) | {"rights": "none", "proof": "pending"}
    return [
        Patch(c.REGISTRATIONS, event.registration, shown),
        Patch(c.ACCOUNTS, event.account, _place(event)),
    ]


def imported(event: m.HistoryImported) -> list[Patch]:
    """An account that is only looked at: proved by nothing, so it is its importer's alone."""
    kind = {"kind": "imported"}
    shown = _shown(event) | kind | {"rights": "read"}
    account = _place(event) | kind | {"status": "imported", "currency": event.currency}
    if event.balance is not None:
        balance = str(event.balance)
        account["figures"] = {"balance": balance, "equity": balance}
    return [
        Patch(c.REGISTRATIONS, event.registration, shown),
        Patch(c.ACCOUNTS, event.account, account),
    ]


def _shown(event: m.AccountRegistered | m.HistoryImported) -> Fields:
    whose = {"user": event.user, "account": event.account, "name": event.name}
    return whose | _place(event) | {"enabled": True, "connect_error": None}


def _place(event: m.AccountRegistered | m.HistoryImported) -> Fields:
    return {"platform": event.platform.value, "server": event.server, "login": event.login}


def updated(event: m.AccountUpdated) -> Patch:
    fields: Fields = {
        "name": event.name,
        "enabled": event.enabled,
        "rights": event.rights.value,
        "consider_balance": event.consider_balance,
        "symbols": {
            "all": event.symbols.all,
            "on": list(event.symbols.on),
            "off": list(event.symbols.off),
        },
    }
    if event.server:
        fields["server"] = event.server
    if event.proving or not event.refused:
        fields["connect_error"] = None
        fields["proof"] = "pending" if event.proving else "done"
    return Patch(c.REGISTRATIONS, event.registration, fields)


def refused(event: m.AccountRefused) -> Patch:
    proved = {"proof": "refused", "rights": event.rights.value}
    return Patch(c.REGISTRATIONS, event.registration, proved | _connect_error(event))


def delayed(event: m.ProofDelayed) -> Patch:
    return Patch(c.REGISTRATIONS, event.registration, _connect_error(event))


def _connect_error(event: m.AccountRefused | m.ProofDelayed) -> Fields:
    return {"connect_error": {"code": event.code, "message": event.message}}


def removed(event: m.AccountRemoved) -> list[Patch]:
    gone = [
        Patch(c.REGISTRATIONS, event.registration, None),
        callback_of(event.registration, None),
    ]
    return [*gone, Patch(c.ACCOUNTS, event.account, None)] if event.last else gone


def protected(event: Protected) -> Patch:
    """As JSON is: decimals and times as text."""
    protector = msgspec.to_builtins(event.protector, str_keys=True)
    return Patch(c.REGISTRATIONS, event.registration, {"protector": protector})


def callback_set(event: m.EquityProtectorCallbackSet) -> list[Patch]:
    told = {"callback_shown": where_told(event.callback)}
    return [
        Patch(c.REGISTRATIONS, event.registration, told),
        callback_of(event.registration, event.callback),
    ]
