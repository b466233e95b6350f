"""What Prometheus reads. No label names an account, an item or a key."""

from __future__ import annotations

import os

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

__all__ = ["SHARED", "Metrics"]

SHARED = "PROMETHEUS_MULTIPROC_DIR"
"""Environment variable that names the folder in which workers count together."""

TIMES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Seconds."""


class Metrics:
    """All metrics of one service, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "recsec_requests", "Requests answered", ("route", "code"), registry=self.registry
        )
        self.duration = Histogram(
            "recsec_request_duration_seconds",
            "From request to answer",
            ("route",),
            buckets=TIMES,
            registry=self.registry,
        )
        self.decisions = Counter(
            "recsec_decisions",
            "Decisions made",
            ("detector", "action", "mode"),
            registry=self.registry,
        )
        self.active = Gauge(
            "recsec_decisions_active",
            "Decisions that hold",
            multiprocess_mode="livemax",
            registry=self.registry,
        )
        self.overrides = Counter(
            "recsec_shadow_overrides",
            "Requests that a decision in shadow would have treated",
            ("action",),
            registry=self.registry,
        )
        self.treated = Counter(
            "recsec_treated",
            "Requests that a decision treated",
            ("action",),
            registry=self.registry,
        )
        self.detectors = Histogram(
            "recsec_detector_seconds",
            "One batch of evidence",
            buckets=TIMES,
            registry=self.registry,
        )
        self.tracked = Gauge(
            "recsec_accounts_tracked",
            "Accounts with evidence",
            multiprocess_mode="livemax",
            registry=self.registry,
        )
        self.dropped = Counter(
            "recsec_evidence_dropped",
            "Requests that no detector saw: it was behind",
            registry=self.registry,
        )
        self.backend = Gauge(
            "recsec_backend_up",
            "Whether the state answers",
            ("backend",),
            multiprocess_mode="livemin",
            registry=self.registry,
        )
        self.fallbacks = Counter(
            "recsec_backend_fallbacks",
            "Writes of state that failed and are tried again",
            ("backend",),
            registry=self.registry,
        )
        self.reloads = Counter(
            "recsec_policy_reloads",
            "Changed policies that were taken, or refused",
            ("result",),
            registry=self.registry,
        )
        self.webhooks = Counter(
            "recsec_webhooks",
            "Messages to webhooks: delivered, failed, dropped",
            ("became",),
            registry=self.registry,
        )
        self.passes = Gauge(
            "recsec_inference_passes",
            "How often the target was asked",
            multiprocess_mode="livesum",
            registry=self.registry,
        )

    def text(self) -> bytes:
        """In the format of Prometheus; of all workers together, where there are several."""
        if SHARED not in os.environ:
            return bytes(generate_latest(self.registry))
        together = CollectorRegistry()
        MultiProcessCollector(together)  # type: ignore[no-untyped-call]
        return bytes(generate_latest(together))
