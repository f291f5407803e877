"""A shop that takes four orders a second and tells OpenTelemetry of them. One in ten is slow, one in twenty fails."""

import itertools
import time

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode

provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(insecure=True)))
trace.set_tracer_provider(provider)
tracer = trace.get_tracer("shop")

for order in itertools.count(1):
    with tracer.start_as_current_span("POST /order", kind=SpanKind.SERVER) as request:
        request.set_attribute("http.route", "/order")
        request.set_attribute("order.id", order)
        with tracer.start_as_current_span("reserve stock"):
            time.sleep(0.6 if order % 10 == 0 else 0.01)
        with tracer.start_as_current_span("charge card") as payment:
            time.sleep(0.01)
            if order % 20 == 0:
                payment.set_status(Status(StatusCode.ERROR, "the card was declined"))
    time.sleep(0.25)
