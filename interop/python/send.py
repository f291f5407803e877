"""Sends traces by the OpenTelemetry SDK for Python; see ../README.md."""

import os
import time

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Link, SpanKind, Status, StatusCode

MILLISECOND = 1_000_000


def exporter():
    """Endpoint and compression are read from the environment; the protocol is a choice of packages."""
    protocol = os.environ["OTEL_EXPORTER_OTLP_PROTOCOL"]
    if protocol == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
    elif protocol == "http/json":
        from opentelemetry.exporter.otlp.json.http.trace_exporter import OTLPSpanExporter
    else:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    return OTLPSpanExporter()


def send(tracer, number):
    """Makes one trace and prints what it is."""
    kind = ["error", "slow", "plain", "plain", "plain"][number % 5]
    duration = (600 if kind == "slow" else 10) * MILLISECOND
    start = time.time_ns()
    root = tracer.start_span(
        "GET /cart",
        kind=SpanKind.SERVER,
        start_time=start,
        attributes={
            "shop.user": "Zoë ☕",
            "shop.returning": True,
            "shop.number": number,
            "shop.discount": 0.25,
            "shop.ratio": float("nan"),
            "shop.tags": ["a", "b"],
        },
    )
    context = trace.set_span_in_context(root)
    query = tracer.start_span(
        "SELECT cart", context=context, kind=SpanKind.CLIENT, start_time=start + MILLISECOND
    )
    query.add_event("cache.miss", {"cache.key": "cart"}, timestamp=start + 2 * MILLISECOND)
    if kind == "error":
        query.set_status(Status(StatusCode.ERROR, "no such cart"))
    query.end(start + 6 * MILLISECOND)
    links = [Link(query.get_span_context())]
    render = tracer.start_span(
        "render", context=context, start_time=start + 7 * MILLISECOND, links=links
    )
    render.end(start + 9 * MILLISECOND)
    root.end(start + duration)

    trace_id = trace.format_trace_id(root.get_span_context().trace_id)
    ids = [trace.format_span_id(span.get_span_context().span_id) for span in (root, query, render)]
    print(number, kind, trace_id, *ids, start)


def main():
    provider = TracerProvider(resource=Resource({"service.name": "interop-python"}))
    provider.add_span_processor(BatchSpanProcessor(exporter()))
    tracer = provider.get_tracer("interop", "1.0")
    for number in range(int(os.environ["TRACES"])):
        send(tracer, number)
    provider.shutdown()


main()
