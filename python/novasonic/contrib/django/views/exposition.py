"""What a process counts, as Prometheus families. Imported by ``metrics/`` alone, where prometheus-client is there."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector, CollectorRegistry

from novasonic.contrib.django.metering import RESPONSE_BUCKETS, meters

from .live import snapshots

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from novasonic.contrib.django.limits.keeping import Snapshot

    from .live import Live


class Exposition(Collector):
    """One scrape: this process's counters and a moment of what goes on. Labels are few and fixed, never a person."""

    def __init__(self, live: Live) -> None:
        self._live = live

    def collect(self) -> Iterator[Metric]:
        """Yield each family."""
        live = self._live
        yield _gauge("novasonic_connections", "Open sockets of pages.", live.connections)
        yield _gauge("novasonic_sessions", "Conversations.", live.sessions)
        yield _gauge("novasonic_draining", "1 while this worker takes no new conversations.", live.draining)
        yield from _limits(snapshots())
        yield CounterMetricFamily("novasonic_conversations_opened", "Conversations opened.", value=meters.opened)
        yield _counter("novasonic_conversations_ended", "Conversations ended.", "reason", meters.conversations)
        yield _counter("novasonic_turns", "Turns ended.", "end", meters.turns)
        yield _counter("novasonic_tool_calls", "Tools run.", "result", meters.tool_calls)
        yield _counter("novasonic_renewals", "Streams replaced.", "reason", meters.renewals)
        yield _counter("novasonic_tokens", "Tokens used.", "kind", meters.tokens)
        yield CounterMetricFamily("novasonic_usd", "What conversations cost, at the list price.", value=meters.usd)
        yield _counter("novasonic_errors", "What conversations ended with.", "error", meters.errors)
        yield _counter("novasonic_page_credentials", "Keys for pages.", "outcome", meters.credentials)
        yield _counter("novasonic_page_reports", "Reports of pages with keys of their own.", "outcome", meters.reports)
        yield _responses()


def registry(live: Live) -> CollectorRegistry:
    """Return a registry of its own: the process's default one is the site's, and holds what is not ours to show."""
    made = CollectorRegistry(auto_describe=False)
    made.register(Exposition(live))
    return made


def _limits(known: Sequence[Snapshot]) -> Iterator[Metric]:
    # Each event loop of the process has its own; what one counts of the whole site, the others count too.
    pools: Counter[str] = Counter()
    refusals: Counter[str] = Counter()
    for snapshot in known:
        leases_of: Counter[str] = Counter()
        for pool, found in snapshot.pools.items():
            # Of a page with keys of its own: together, since each has a pool, by which its user could be told again.
            leases_of["page" if pool.startswith("page-") else pool] += found.leases
        pools |= leases_of
        refusals += Counter(snapshot.refusals)
    waiting = sum(snapshot.waiting for snapshot in known)
    yield _gauge("novasonic_waiting", "Conversations of this process that stand in line for a stream.", waiting)
    leases = GaugeMetricFamily("novasonic_leases", "Streams in use, of all processes with Redis.", labels=["pool"])
    for pool, count in sorted(pools.items()):
        leases.add_metric([pool], count)
    yield leases
    yield _counter("novasonic_refusals", "Conversations not admitted.", "reason", refusals)
    down = any(snapshot.redis == "down" for snapshot in known)
    yield _gauge("novasonic_redis_down", "1 while Redis does not answer and this process counts by itself.", down)


def _gauge(name: str, words: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, words, value=float(value))


def _counter(name: str, words: str, label: str, counts: Mapping[str, int]) -> CounterMetricFamily:
    family = CounterMetricFamily(name, words, labels=[label])
    for key, value in sorted(counts.items()):
        family.add_metric([key], value)
    return family


def _responses() -> HistogramMetricFamily:
    buckets, total = [], 0
    for bound, count in zip([*map(str, RESPONSE_BUCKETS), "+Inf"], meters.responses, strict=True):
        total += count
        buckets.append((bound, total))
    words = "From the user's last word to the first sound of the answer."
    name = "novasonic_response_seconds"
    return HistogramMetricFamily(name, words, buckets=buckets, sum_value=meters.response_seconds)
