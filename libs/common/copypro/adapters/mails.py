"""E-mails by SMTP, or into a file where there is nobody to send them to (the demo)."""

from __future__ import annotations

import asyncio
import json
import os
import smtplib
import ssl
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid, parseaddr
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from copypro.errors import MailUnavailable
from copypro.ports import Email

CALL_S = 20.0
AT_ONCE = 2
"""Letters on their way: a server that hangs takes none of the threads that look up bridges' names."""
FILE = "mail.jsonl"


class SmtpMail:
    """`address`: smtp://user:password@host:587 (TLS by STARTTLS, required where there is a password),
    or smtps://…:465 (TLS from the start).
    """

    def __init__(self, address: str, sender: str) -> None:
        self._to: SplitResult = urlsplit(address)
        self._sender = sender
        self._threads = ThreadPoolExecutor(AT_ONCE, "mail")

    async def send(self, email: Email) -> None:
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = self._sender, email.to, email.subject
        # RFC 5322 asks for the date; without both, filters take a message for spam.
        message["Date"] = format_datetime(datetime.now(UTC))
        message["Message-ID"] = make_msgid(domain=parseaddr(self._sender)[1].rpartition("@")[2])
        message.set_content(email.text)
        try:
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._threads, self._deliver, message)
        except (OSError, smtplib.SMTPException) as error:
            text = f"the mail server does not take a letter: {type(error).__name__}"
            raise MailUnavailable(text) from None

    def _deliver(self, message: EmailMessage) -> None:
        host, is_tls = self._to.hostname or "", self._to.scheme == "smtps"
        context = ssl.create_default_context()
        if is_tls:
            server: smtplib.SMTP = smtplib.SMTP_SSL(
                host, self._to.port or 465, timeout=CALL_S, context=context
            )
        else:
            server = smtplib.SMTP(host, self._to.port or 587, timeout=CALL_S)
        with server:
            server.ehlo()
            if not is_tls and (self._to.password or server.has_extn("starttls")):
                server.starttls(context=context)
            if self._to.username:
                server.login(unquote(self._to.username), unquote(self._to.password or ""))
            server.send_message(message)


class FileMail:
    """A line of JSON an e-mail, for this machine's user alone."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE

    async def send(self, email: Email) -> None:
        line = json.dumps({"to": email.to, "subject": email.subject, "text": email.text})
        try:
            await asyncio.to_thread(self._append, line)
        except OSError as error:
            raise MailUnavailable(f"{self._path} cannot be written ({error.strerror})") from None

    def _append(self, line: str) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        with os.fdopen(os.open(self._path, flags, 0o600), "a") as file:
            file.write(f"{line}\n")
