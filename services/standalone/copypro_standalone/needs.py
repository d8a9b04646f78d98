"""Which services there are, what each needs, and whether these settings give it."""

from __future__ import annotations

from collections.abc import Collection

from copypro.errors import SettingsError
from copypro.settings import Settings
from copypro.wiring import Store

NEEDS = {
    "stats": frozenset((Store.LOG, Store.MODELS, Store.VAULT)),
    "replicator": frozenset((Store.LOG,)),
    "account-watcher": frozenset((Store.LOG, Store.VAULT)),
    "gateway": frozenset(Store),
}
"""Each service and what it needs of what is durable, in the order in which they start."""
ALL = tuple(NEEDS)


def check(settings: Settings, services: Collection[str]) -> None:
    """Errors: SettingsError that names the settings and the remedy."""
    needs = needs_of(services)
    if set(services) != set(ALL):
        _check_alone(settings, " ".join(services), needs)
    talks = "account-watcher" in services or "gateway" in services
    if talks and not settings.api_mt4 and not settings.api_mt5:
        raise SettingsError(
            "no bridge: set ApiMT4 and/or ApiMT5 to the addresses of your mt4rest and mt5rest"
            " bridges, such as ApiMT5=http://127.0.0.1:5005 (`copypro demo` needs none)"
        )


def _check_alone(settings: Settings, name: str, needs: Collection[Store]) -> None:
    """A service beside other processes: everything that they share must be a server's."""
    if not settings.kafka or (needs != {Store.LOG} and not settings.mongo):
        raise SettingsError(
            f"`copypro {name}` runs beside other processes, and SQLite's data folder takes only one:"
            " set KAFKA_BOOTSTRAP_SERVERS and MongoDB, or run `copypro up`, which needs neither"
        )
    if Store.VAULT in needs and not settings.secret_keys:
        raise SettingsError(
            f"`copypro {name}` needs COPYPRO_SECRET_KEYS: the gateway seals with it what the"
            " account-watchers and stats open, so all of them are given the same"
        )


def needs_of(services: Collection[str]) -> frozenset[Store]:
    return frozenset[Store]().union(*(NEEDS[name] for name in services))
