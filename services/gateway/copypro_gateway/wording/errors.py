"""What the API refuses, as `{code, message}` with a proper status; the message names field and fix."""

from __future__ import annotations


class ApiError(Exception):
    """`retry_after_s`: the answer's Retry-After, where waiting helps."""

    def __init__(
        self, status: int, code: str, message: str, *, retry_after_s: int | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message
        self.retry_after_s = retry_after_s

    @property
    def headers(self) -> dict[str, str]:
        return {} if self.retry_after_s is None else {"Retry-After": str(self.retry_after_s)}


def bad(field: str, message: str) -> ApiError:
    return ApiError(400, "INVALID_PARAMETER", f"{field}: {message}")


_UNKNOWN = {
    "account": ("accountId", "no such account: see Accounts"),
    "copier": ("id", "no such copier: see UserCopiers"),
    "user": ("email", "no such user"),
    "callback": ("callbackUrl", "none is set, so there is nothing to test"),
}


def unknown(what: str, field: str = "") -> ApiError:
    """Foreign and unknown ids answer the same. `field`: the parameter that names it, if not its usual one."""
    usual, message = _UNKNOWN[what]
    return ApiError(404, f"UNKNOWN_{what.upper()}", f"{field or usual}: {message}")


DENIED_STATUS = {
    "INVALID_PARAMETER": 400,
    "PAIR_IN_USE": 409,
    "SAME_ACCOUNT": 400,
    "UNKNOWN_COPIER": 404,
    "UNKNOWN_ACCOUNT": 404,
    "UNKNOWN_ATTEMPT": 404,
    "UNKNOWN_TICKET": 404,
}
