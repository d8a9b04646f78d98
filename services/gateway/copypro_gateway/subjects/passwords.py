"""A new password for who has forgotten the old one, by a letter to the e-mail address."""

from __future__ import annotations

import asyncio
import secrets
from datetime import timedelta
from urllib.parse import unquote, urlsplit

import structlog
from copypro.errors import MailUnavailable, StoreUnavailable
from copypro.ports import Clock, Email, Mail, Reset, User, Users
from pydantic import Field

from copypro_gateway.calls import Calls
from copypro_gateway.entry.auth import KEY_BYTES, Auth, hash_of
from copypro_gateway.entry.buckets import Buckets
from copypro_gateway.wording.answers import OK, Ok
from copypro_gateway.wording.errors import ApiError, bad
from copypro_gateway.wording.parameters import Parameters, Text

logger = structlog.get_logger("gateway")
VALID = timedelta(minutes=30)
LETTERS_PER_S, LETTERS_AT_ONCE = 1 / 600, 3
"""To one address."""
MOST_AT_WORK = 100


class PasswordForgot(Parameters):
    email: Text
    front_end_reset_url: Text = Field(
        "", description="the page that asks for the new password; its key is put behind it"
    )


class PasswordReset(Parameters):
    reset_key: Text = Field(min_length=1)
    new_password_hash: Text = Field(description="SHA-256 of the password, made by the client")


class Passwords:
    def __init__(
        self, auth: Auth, users: Users, mail: Mail | None, reset_url: str, clock: Clock
    ) -> None:
        self._auth, self._users, self._mail = auth, users, mail
        self._reset_url, self._clock = reset_url, clock
        self._asked = Buckets(LETTERS_PER_S, LETTERS_AT_ONCE)
        self._at_work: set[asyncio.Task[None]] = set()

    def register(self, calls: Calls) -> None:
        calls.open("PasswordForgot", PasswordForgot, self.forgot, tag="users")
        calls.open("PasswordReset", PasswordReset, self.reset, tag="users")

    async def forgot(self, given: PasswordForgot) -> Ok:
        """Sends a letter with a key that sets a new password once, within half an hour. The answer
        is the same for an address that nobody has here, and does not wait for the letter.
        """
        mail, url = self._mail, given.front_end_reset_url
        if mail is None:
            text = "this gateway sends no letters: an operator sets COPYPRO_MAIL"
            raise ApiError(403, "MAIL_OFF", text)
        if url and not is_below(url, self._reset_url):
            text = "the letter links only to pages below COPYPRO_RESET_URL; leave it out for the key alone"
            raise bad("frontEndResetUrl", text)
        is_free = len(self._at_work) < MOST_AT_WORK
        now = asyncio.get_running_loop().time()
        if is_free and self._asked.take(given.email.casefold(), now) == 0:
            task = asyncio.create_task(self._write(mail, given.email, url))
            self._at_work.add(task)
            task.add_done_callback(self._at_work.discard)
        return OK

    async def _write(self, mail: Mail, email: str, url: str) -> None:
        try:
            user = await self._users.by_email(email)
            if user is not None:
                await mail.send(await self._email(user, url))
        except (MailUnavailable, StoreUnavailable) as error:
            logger.warning("a letter could not be sent", reason=str(error))

    async def _email(self, user: User, url: str) -> Email:
        key, now = secrets.token_hex(KEY_BYTES), self._clock()
        reset = Reset(hash=hash_of(key), user=user.id, created_at=now, expires_at=now + VALID)
        await self._users.add_reset(reset)
        how = f"{url}{key}" if url else f"The key for PasswordReset: {key}"
        text = (
            "Somebody, perhaps you, asked for a new password of CopyPro.\n\n"
            f"{how}\n\n"
            f"It works once, within {int(VALID.total_seconds() // 60)} minutes. If it was not you,"
            " do nothing: your password stays as it is.\n"
        )
        return Email(to=user.email, subject="A new password for CopyPro", text=text)

    async def reset(self, given: PasswordReset) -> Ok:
        """Sets a new password by a letter's key; keys of earlier sign-ins are over, those with a
        name of their own go on. Errors: 403 for a key that is unknown, used or over.
        """
        await self._auth.set_password(given.reset_key, given.new_password_hash)
        return OK


def is_below(url: str, base: str) -> bool:
    """Whether a browser that follows `url`, with a key behind it, ends at the base's own scheme, host and
    port, at its path or below it. What browsers read otherwise than we do is refused: a user before the
    host, backslashes, characters that they drop, `..` in any writing; and an address that ends with its
    host, of which the key would become a part. Nothing is below an empty base.
    """
    if not base or not url.isascii() or not url.isprintable() or set(url) & {"\\", " "}:
        return False
    try:
        asked, allowed = urlsplit(url), urlsplit(base)
        where = asked.scheme, asked.hostname, asked.port
        is_there = where == (allowed.scheme, allowed.hostname, allowed.port)
    except ValueError:
        return False
    ends_with_host = not asked.path and not set(url) & {"?", "#"}
    if not is_there or "@" in asked.netloc or ends_with_host:
        return False
    folders = allowed.path.rstrip("/").split("/")
    segments = asked.path.split("/")
    is_plain = not {".", ".."} & {unquote(segment) for segment in segments}
    return is_plain and (segments[: len(folders)] == folders or folders == [""])
