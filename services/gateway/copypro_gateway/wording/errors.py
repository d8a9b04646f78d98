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


def unknown(what: str) -> ApiError:
    """Foreign and unknown ids answer the same."""
    return ApiError(404, f"UNKNOWN_{what.upper()}", f"no such {what}")


DENIED_STATUS = {
    "INVALID_PARAMETER": 400,
    "PAIR_IN_USE": 409,
    "SAME_ACCOUNT": 400,
    "UNKNOWN_COPIER": 404,
    "UNKNOWN_ACCOUNT": 404,
    "UNKNOWN_ATTEMPT": 404,
    "UNKNOWN_TICKET": 404,
}
