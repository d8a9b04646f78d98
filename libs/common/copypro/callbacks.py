"""What is posted to users' own addresses: where it may go, how it is signed. Pure.

A callback's address and secret are sealed for one registration of their user, so the log and the
read models hold neither, and both die with that registration's data key.
"""

from __future__ import annotations

import hmac
from ipaddress import IPv6Address, ip_address, ip_network
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from copypro.values import RegistrationId

TIMESTAMP_HEADER = "X-CopyPro-Timestamp"
SIGNATURE_HEADER = "X-CopyPro-Signature"
VERSION = "v1"
MOST_URL = 2048
_GIVEN_OUT = ip_network("2000::/3")
"""What of IPv6 anybody can have an address of (RFC 4291). Beside it are translators of one's own network,
which lead to its IPv4 (RFC 8215), and former forms of IPv4 in IPv6.
"""
_TRANSLATED = ip_network("64:ff9b::/96")
"""IPv4 behind a translator: an address in an address (RFC 6052)."""


class Callback(Struct, frozen=True, kw_only=True):
    """An address that a user wants to be told at."""

    registration: RegistrationId
    """For which it is sealed."""
    sealed: str
    """A `Receiver`, encrypted."""
    shown: str
    """Scheme and host, for people: path and query may hold a secret."""


class Receiver(Struct, frozen=True):
    """Its repr must never show address or secret."""

    url: str
    secret: str = ""
    """What posts are signed with; empty: they are not signed."""
    trusted: bool = False
    """The operator's own: it may be anywhere."""

    def __repr__(self) -> str:
        return f"Receiver({masked(self.url)})"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        return [("url", masked(self.url)), ("secret", "***")]


def plain(receiver: Receiver) -> str:
    """To be sealed, never to be written anywhere as it is."""
    return msgspec.json.encode(receiver).decode()


def receiver_of(text: str) -> Receiver:
    return msgspec.json.decode(text, type=Receiver)


def masked(url: str) -> str:
    """What may be shown of it."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname or ''}/***"


def problem_with(url: str) -> str:
    """Why this is no address to post to; empty: it is one. Never repeats it."""
    if len(url) > MOST_URL:
        return f"has more than {MOST_URL} characters"
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return "is not an address like https://example.com/hook"
    if parts.scheme not in ("http", "https") or not parts.hostname or not url.isprintable():
        return "is not an address like https://example.com/hook"
    if parts.username is not None or parts.password is not None:
        return "has a user or password before the host: posts are signed instead"
    if not parts.hostname.isascii():
        # Some of them are read as digits and dots: who judges it must see what will be connected to.
        return "has letters outside of ASCII in its host: write it as xn--…"
    return ""


def is_public(address: str) -> bool:
    """An address that anybody on the internet could reach too. Loopback, private, link-local, shared,
    reserved, multicast ones are not, in whatever IPv6 clothing.
    """
    ip = ip_address(address.partition("%")[0])
    if isinstance(ip, IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo and ip.teredo[1])
        if ip in _TRANSLATED:
            inner = ip_address(int(ip) & 0xFFFFFFFF)  # type: ignore[assignment]
        if inner is not None:
            return is_public(str(inner))
        if ip not in _GIVEN_OUT:
            return False
    return ip.is_global and not ip.is_multicast


def is_not_public_literal(url: str) -> bool:
    """The host is written as an address, and not as a public one. A name is judged by what it
    resolves to, when it is posted to.
    """
    try:
        return is_not_public_host(urlsplit(url).hostname or "")
    except ValueError:
        return False


def is_not_public_host(host: str) -> bool:
    """As `is_not_public_literal`, of a host without brackets and port."""
    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return not is_public(host)


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """HMAC-SHA256 over timestamp, a dot and the body as it is sent; in hex, after the version."""
    signed = timestamp.encode() + b"." + body
    return f"{VERSION}={hmac.new(secret.encode(), signed, 'sha256').hexdigest()}"
