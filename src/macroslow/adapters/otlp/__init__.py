"""Spans for a collector, by the OpenTelemetry protocol (OTLP) over HTTP."""

from macroslow.adapters.otlp.collector import Collector, Later, Never, Taken
from macroslow.adapters.otlp.encoding import encode
from macroslow.adapters.otlp.exporter import SpanExporter

__all__ = ["Collector", "Later", "Never", "SpanExporter", "Taken", "encode"]
