"""Letters reach a real SMTP server, and never a password on a connection that is not encrypted."""

from __future__ import annotations

import asyncio
import email
import email.policy
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from copypro.adapters.mails import CALL_S, SmtpMail
from copypro.errors import MailUnavailable
from copypro.ports import Email

from tests.contract.test_http_server import certificate
from tests.waiting import until

USER = "copypro@example.com"
PASSWORD = "c4n4ry/p4ss:w0rd"
ESCAPED = "c4n4ry%2Fp4ss%3Aw0rd"
SENDER = "CopyPro <copypro@example.com>"
EMAIL = Email(to="you@example.com", subject="Neues Paßwort", text="https://example.com/?k=1\n…\n")


class Mailbox:
    """What a server took, and whether the connection was encrypted and who had signed in."""

    def __init__(self) -> None:
        self.taken: list[EmailMessage] = []
        self.encrypted: list[bool] = []
        self.users: list[bytes | None] = []
        self.answer = "250 OK"

    async def handle_DATA(self, _: SMTP, session: Session, envelope: Envelope) -> str:
        content = envelope.content
        assert isinstance(content, bytes)
        message = email.message_from_bytes(content, policy=email.policy.default)
        assert isinstance(message, EmailMessage)
        assert (envelope.mail_from, envelope.rcpt_tos) == (USER, [EMAIL.to])
        if self.answer.startswith("250"):
            self.taken.append(message)
            self.encrypted.append(session.ssl is not None)
            self.users.append(session.auth_data)
        return self.answer

    def signs_in(self, _: SMTP, session: Session, __: Envelope, ___: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        is_known = (data.login, data.password) == (USER.encode(), PASSWORD.encode())
        return AuthResult(success=is_known, handled=False, auth_data=data.login)


@pytest.fixture
def tls(tmp_path: Path) -> tuple[Path, Path]:
    """The files of a certificate of 127.0.0.1, signed by itself, and of its key."""
    return certificate(tmp_path)


@pytest.fixture
def trusted(tls: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tls[0]))


def with_password(port: int, scheme: str = "smtp") -> str:
    return f"{scheme}://{USER.replace('@', '%40')}:{ESCAPED}@127.0.0.1:{port}"


@asynccontextmanager
async def serving(
    mailbox: Mailbox, tls: tuple[Path, Path] | None = None, *, from_the_start: bool = False
) -> AsyncIterator[int]:
    """The port of an SMTP server; with a certificate it knows STARTTLS, or speaks TLS from the start."""
    context = None
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*tls)

    def made() -> SMTP:
        return SMTP(
            mailbox,
            tls_context=None if from_the_start else context,
            auth_callback=None,
            authenticator=mailbox.signs_in,
            auth_require_tls=not from_the_start,
        )

    loop = asyncio.get_running_loop()
    server = await loop.create_server(made, "127.0.0.1", 0, ssl=context if from_the_start else None)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@pytest.mark.usefixtures("trusted")
async def test_a_letter_arrives_as_it_was_written_over_starttls_with_the_password(
    tls: tuple[Path, Path],
) -> None:
    mailbox = Mailbox()
    async with serving(mailbox, tls) as port:
        await SmtpMail(with_password(port), SENDER).send(EMAIL)
    (taken,) = mailbox.taken
    assert (taken["From"], taken["To"], taken["Subject"]) == (SENDER, EMAIL.to, EMAIL.subject)
    assert taken.get_content().replace("\r\n", "\n") == EMAIL.text
    assert abs(parsedate_to_datetime(taken["Date"]) - datetime.now(UTC)) < timedelta(minutes=5)
    assert taken["Message-ID"].endswith("@example.com>")
    assert (mailbox.encrypted, mailbox.users) == ([True], [USER.encode()])


@pytest.mark.usefixtures("trusted")
async def test_smtps_is_encrypted_from_the_start(tls: tuple[Path, Path]) -> None:
    mailbox = Mailbox()
    async with serving(mailbox, tls, from_the_start=True) as port:
        await SmtpMail(with_password(port, "smtps"), SENDER).send(EMAIL)
    assert [message["To"] for message in mailbox.taken] == [EMAIL.to]
    assert mailbox.users == [USER.encode()]


@pytest.mark.usefixtures("trusted")
async def test_a_server_that_offers_tls_gets_it_without_a_password_too(
    tls: tuple[Path, Path],
) -> None:
    mailbox = Mailbox()
    async with serving(mailbox, tls) as port:
        await SmtpMail(f"smtp://127.0.0.1:{port}", SENDER).send(EMAIL)
    assert (mailbox.encrypted, mailbox.users) == ([True], [None])


async def test_with_password_and_without_a_password_a_letter_goes_in_the_clear() -> None:
    mailbox = Mailbox()
    async with serving(mailbox) as port:
        await SmtpMail(f"smtp://127.0.0.1:{port}", SENDER).send(EMAIL)
    assert (mailbox.encrypted, mailbox.users) == ([False], [None])


def wrong_password(port: int) -> str:
    return f"smtp://{USER.replace('@', '%40')}:c4n4ry@127.0.0.1:{port}"


def another_host(port: int) -> str:
    return f"smtp://{USER.replace('@', '%40')}:{ESCAPED}@localhost:{port}"


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize(
    ("url", "with_tls", "answer", "why"),
    [
        (with_password, False, "250 OK", "SMTPNotSupportedError"),
        (wrong_password, True, "250 OK", "SMTPAuthenticationError"),
        (another_host, True, "250 OK", "SSLCertVerificationError"),
        (with_password, True, "554 c4n4ry is not welcome", "SMTPDataError"),
    ],
)
async def test_what_is_not_taken_is_said_without_a_secret_or_the_text(
    tls: tuple[Path, Path], url: Callable[[int], str], with_tls: bool, answer: str, why: str
) -> None:
    mailbox = Mailbox()
    mailbox.answer = answer
    async with serving(mailbox, tls if with_tls else None) as port:
        with pytest.raises(MailUnavailable) as caught:
            await SmtpMail(url(port), SENDER).send(EMAIL)
    assert str(caught.value) == f"the mail server does not take a letter: {why}"
    assert caught.value.__cause__ is None
    assert mailbox.taken == []


async def test_a_certificate_of_an_unknown_authority_is_refused(tls: tuple[Path, Path]) -> None:
    mailbox = Mailbox()
    async with serving(mailbox, tls) as port:
        with pytest.raises(MailUnavailable, match="SSLCertVerificationError"):
            await SmtpMail(with_password(port), SENDER).send(EMAIL)
    assert mailbox.taken == []


async def test_nobody_there_is_an_error_too() -> None:
    with pytest.raises(MailUnavailable, match="ConnectionRefusedError"):
        await SmtpMail("smtp://127.0.0.1:1", SENDER).send(EMAIL)


async def test_a_server_that_says_nothing_takes_no_thread_from_anybody_else() -> None:
    """Names of bridges are looked up in those, and passwords checked."""
    writers: list[asyncio.StreamWriter] = []

    async def silent(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    mail = SmtpMail(f"smtp://127.0.0.1:{server.sockets[0].getsockname()[1]}", SENDER)
    sending = [asyncio.create_task(mail.send(EMAIL)) for _ in range(40)]
    await until(lambda: bool(writers))
    async with asyncio.timeout(CALL_S * 0.75):
        await asyncio.get_running_loop().getaddrinfo("localhost", 80)
    for task in sending:
        task.cancel()
    for writer in writers:
        writer.close()
    await asyncio.wait(sending)
    server.close()
