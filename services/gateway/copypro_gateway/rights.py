"""What a registration may do: as its own password has proved by a login, and nothing before that."""

from __future__ import annotations

from typing import Any

from copypro_gateway.wording.errors import ApiError

Doc = dict[str, Any]


def may_read(registration: Doc) -> bool:
    return registration.get("rights") in ("read", "trade")


def may_trade(registration: Doc) -> bool:
    return registration.get("rights") == "trade"


def is_pending(registration: Doc) -> bool:
    """A password of it is being tried: what it may do can still grow."""
    return registration.get("proof") == "pending"


def not_proved(field: str, registration: Doc) -> ApiError:
    """Why nothing of the account may be seen or done: named by the parameter that chose it."""
    reason = registration.get("connect_error") or {}
    said = f" ({reason['code']}: {reason['message']})" if reason else ""
    if is_pending(registration):
        text = (
            f"{field}: its password has not logged in yet{said}: try again when Accounts shows it"
        )
        return ApiError(409, "ACCOUNT_CONNECTING", text)
    text = f"{field}: its password was refused{said}: set the right one by AddAccount"
    return ApiError(403, "NOT_PROVED", text)


def read_only(field: str) -> ApiError:
    text = f"{field}: its password is an investor password: set the trading password by AddAccount"
    return ApiError(400, "READ_ONLY", text)
