"""What the API refuses, as `{code, message}` with a proper status; the message names field and fix."""

from __future__ import annotations


class ApiError(Exception):
    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


def bad(field: str, message: str) -> ApiError:
    return ApiError(400, "INVALID_PARAMETER", f"{field}: {message}")


def unknown(what: str) -> ApiError:
    """Foreign and unknown ids answer the same."""
    return ApiError(404, f"UNKNOWN_{what.upper()}", f"no such {what}")


DENIED_STATUS = {
    "PAIR_IN_USE": 409,
    "SAME_ACCOUNT": 400,
    "UNKNOWN_COPIER": 404,
    "UNKNOWN_ACCOUNT": 404,
    "UNKNOWN_ATTEMPT": 404,
    "UNKNOWN_TICKET": 404,
}
