"""What a process counts, in Prometheus' words; the one place that knows prometheus-client.

Every series is in the table of docs/operations.md. Labels come from closed sets (roles, topics, codes,
the gateway's own calls), never from what a client or a broker wrote, so their number stays bounded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from importlib.metadata import version

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from copypro.observing import Ownership

LEG_S = (
    0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 60,
)  # fmt: skip
"""A leg of a copy takes milliseconds on a good day and a minute where an answer never came."""
COMMIT_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 15)
TAKEOVER_S = (0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60)
CALL_S = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)


class Metrics:
    """A Meter and a Tally, on the registry that it is handed."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        ProcessCollector(registry=registry)

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"copypro_{name}", text, labels, registry=registry)

        def histogram(name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
            return Histogram(f"copypro_{name}", text, labels, buckets=buckets, registry=registry)

        self._assigned = counter("partitions_assigned", "Partitions taken over", "role")
        self._lost = counter("partitions_lost", "Partitions lost to another owner", "role")
        self._takeover = histogram(
            "takeover_seconds", "From assigned to restored", TAKEOVER_S, "role"
        )
        self._commits = cache(
            histogram("commit_seconds", "Durable commits", COMMIT_S, "role").labels
        )
        self._commits_failed = counter("commits_failed", "Commits that failed", "role", "error")
        legs = histogram("leg_seconds", "Legs of a copied open", LEG_S, "leg")
        self._attempts = cache(
            counter("attempts", "Trade calls begun, and what they led to", "outcome").labels
        )
        self._planned = counter("copies_planned", "Copies planned")
        self._not_copied = counter("not_copied", "Refused by rule, by code", "by", "code")
        self._alerts = counter("alerts", "Alerts raised, by code", "code")
        self._calls = histogram("http_seconds", "REST calls", CALL_S, "call", "status")
        self._leg = {
            leg: legs.labels(leg)
            for leg in ("seen-planned", "planned-sent", "sent-filled", "filled-recorded", "seen-filled")
        }  # fmt: skip

    # --- a Meter ------------------------------------------------------------------------------

    def assigned(self, role: str) -> None:
        self._assigned.labels(role).inc()

    def restored(self, role: str, took_s: float) -> None:
        self._takeover.labels(role).observe(took_s)

    def lost(self, role: str) -> None:
        self._lost.labels(role).inc()

    def committed(self, role: str, took_s: float) -> None:
        self._commits(role).observe(took_s)

    def commit_failed(self, role: str, error: str) -> None:
        self._commits_failed.labels(role, error).inc()

    def call_answered(self, call: str, status: int, took_s: float) -> None:
        self._calls.labels(call, str(status)).observe(took_s)

    # --- a Tally ------------------------------------------------------------------------------

    def leg(self, leg: str, took_s: float) -> None:
        self._leg[leg].observe(took_s)

    def attempt(self, outcome: str) -> None:
        self._attempts(outcome).inc()

    def planned(self, copies: int) -> None:
        self._planned.inc(copies)

    def not_copied(self, by: str, code: str, copies: int) -> None:
        self._not_copied.labels(by, code).inc(copies)

    def alerted(self, code: str) -> None:
        self._alerts.labels(code).inc()

    # --- for the scraper ----------------------------------------------------------------------

    def watch(
        self,
        ownership: Ownership,
        not_ready: Callable[[], list[str]],
        sessions: Callable[[], Mapping[str, int]] | None = None,
        unresolved: Callable[[], int] | None = None,
    ) -> None:
        """What is asked at each scrape, and costs nothing in between."""
        self._registry.register(_Now(ownership, not_ready, sessions, unresolved))

    def page(self) -> bytes:
        return generate_latest(self._registry)


class _Now(Collector):
    def __init__(
        self,
        ownership: Ownership,
        not_ready: Callable[[], list[str]],
        sessions: Callable[[], Mapping[str, int]] | None,
        unresolved: Callable[[], int] | None,
    ) -> None:
        self._ownership, self._not_ready = ownership, not_ready
        self._sessions, self._unresolved = sessions, unresolved

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterable[Metric]:
        yield _gauge("ready", "1: ready", (), [((), 0 if self._not_ready() else 1)])
        about = (version("copypro"),)
        yield _gauge("build_info", "What runs here", ("version",), [(about, 1)])
        counts = self._ownership.counts().items()
        owned = [((role,), count) for role, count in counts]
        yield _gauge("partitions", "Partitions owned now", ("role",), owned)
        lags = [
            ((lag.role, lag.topic, str(lag.partition)), lag.records)
            for lag in self._ownership.lags()
        ]
        yield _gauge(
            "lag_records", "Records not yet consumed", ("role", "topic", "partition"), lags
        )
        if self._sessions is not None:
            states = [((state,), count) for state, count in self._sessions().items()]
            yield _gauge("sessions", "Watched accounts, by state", ("state",), states)
        if self._unresolved is not None:
            rows = [((), self._unresolved())]
            yield _gauge("unresolved", "Attempts that nobody has settled", (), rows)


def _gauge(
    name: str,
    text: str,
    labels: tuple[str, ...],
    rows: Iterable[tuple[tuple[str, ...], float]],
) -> Metric:
    gauge = GaugeMetricFamily(f"copypro_{name}", text, labels=labels)
    for values, value in rows:
        gauge.add_metric(values, value)
    return gauge
