"""The settings that make the gateway safe on a network, as the gateway takes them."""

from __future__ import annotations

from copypro.settings import Settings
from copypro_gateway.entry.auth import SignUps
from copypro_gateway.entry.safety import Safety


def safety_of(settings: Settings) -> Safety:
    return Safety(
        sign_ups=SignUps(settings.sign_ups),
        requests_per_s=settings.requests_per_s,
        address_requests_per_s=settings.address_requests_per_s,
        cors_origins=tuple(settings.cors_origins.replace(",", " ").split()),
        tls=bool(settings.tls_cert),
    )
