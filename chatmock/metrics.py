"""The daemon's figures in Prometheus' text form, read off when they are asked for.

Labels are bounded: names of providers, kinds of refusals, never a client's, a model's or an upstream's words
(spec security.md, P44).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from chatmock.account import Accounts
from chatmock.admission.client import Client
from chatmock.admission.slots import Slots
from chatmock.watch import Watch

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def metrics_body(slots: Slots, accounts: Accounts) -> bytes:
    """The figures now, as ``GET /metrics`` answers them."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Figures(slots, accounts))
    return generate_latest(registry)


class _Figures(Collector):
    def __init__(self, slots: Slots, accounts: Accounts) -> None:
        self._slots = slots
        self._watches = {
            name: account.watch for name, account in accounts.by_name.items() if account.watch is not None
        }

    def collect(self) -> Iterator[Metric]:
        """Every figure."""
        yield from _queue(self._slots)
        yield from _providers(self._watches)


def _queue(slots: Slots) -> Iterator[Metric]:
    report = slots.report(Client(""))
    told = {
        "permits": ("Requests that may be answered at the same time.", report.permits),
        "permits_held": ("Requests that are being answered.", slots.held),
        "queue_limit": ("Requests that may wait.", report.limit),
        "queue_waiting": ("Requests that wait.", slots.waiting),
        "queue_clients": ("Clients that are answered or wait.", report.other_clients),
    }
    for name, (meaning, value) in told.items():
        yield GaugeMetricFamily(f"chatmock_{name}", meaning, value=value)
    if report.mean_hold is not None:
        yield GaugeMetricFamily(
            "chatmock_permit_hold_seconds", "How long an answer has taken lately.", value=report.mean_hold
        )


def _providers(watches: Mapping[str, Watch]) -> Iterator[Metric]:
    cooldown = GaugeMetricFamily(
        "chatmock_provider_cooldown_seconds",
        "How long the provider as a whole is not asked; 0 where it is.",
        labels=["provider"],
    )
    models = GaugeMetricFamily(
        "chatmock_provider_models_cooling", "Models that are not asked by themselves.", labels=["provider"]
    )
    errors = CounterMetricFamily(
        "chatmock_upstream_errors",
        "Refused and failed answers, by what went wrong.",
        labels=["provider", "cause"],
    )
    for name, watch in watches.items():
        conditions = dict(watch.conditions())
        whole = conditions.pop(None, None)
        cooldown.add_metric([name], 0.0 if whole is None else whole.left)
        models.add_metric([name], len(conditions))
        for cause, count in watch.errors.items():
            errors.add_metric([name, cause], count)
    yield from (cooldown, models, errors)
