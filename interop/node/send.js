// Sends traces by the OpenTelemetry SDK for Node.js; see ../README.md.

import { context, diag, DiagConsoleLogger, DiagLogLevel, SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";
import { OTLPTraceExporter as GrpcExporter } from "@opentelemetry/exporter-trace-otlp-grpc";
import { OTLPTraceExporter as JsonExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { OTLPTraceExporter as ProtobufExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BatchSpanProcessor, TracerProvider } from "@opentelemetry/sdk-trace";

const KINDS = ["error", "slow", "plain", "plain", "plain"];
// Endpoint and compression are read from the environment; the protocol is a choice of packages.
const EXPORTERS = { grpc: GrpcExporter, "http/protobuf": ProtobufExporter, "http/json": JsonExporter };

// The SDK takes times as milliseconds or as [seconds, nanoseconds].
const plus = ([seconds, nanoseconds], milliseconds) => {
  const sum = nanoseconds + milliseconds * 1e6;
  return [seconds + Math.floor(sum / 1e9), sum % 1e9];
};

// Makes one trace and prints what it is.
function send(tracer, number) {
  const kind = KINDS[number % 5];
  const duration = kind === "slow" ? 600 : 10;
  const now = Date.now();
  const start = [Math.floor(now / 1000), (now % 1000) * 1e6 + number];
  const attributes = {
    "shop.user": "Zoë ☕",
    "shop.returning": true,
    "shop.number": number,
    "shop.discount": 0.25,
    "shop.ratio": NaN,
    "shop.tags": ["a", "b"],
  };
  const root = tracer.startSpan("GET /cart", { kind: SpanKind.SERVER, startTime: start, attributes });
  const within = trace.setSpan(context.active(), root);
  const query = tracer.startSpan("SELECT cart", { kind: SpanKind.CLIENT, startTime: plus(start, 1) }, within);
  query.addEvent("cache.miss", { "cache.key": "cart" }, plus(start, 2));
  if (kind === "error") query.setStatus({ code: SpanStatusCode.ERROR, message: "no such cart" });
  query.end(plus(start, 6));
  const links = [{ context: query.spanContext() }];
  const render = tracer.startSpan("render", { startTime: plus(start, 7), links }, within);
  render.end(plus(start, 9));
  root.end(plus(start, duration));

  const ids = [root, query, render].map((span) => span.spanContext().spanId);
  const nanoseconds = BigInt(start[0]) * 1_000_000_000n + BigInt(start[1]);
  console.log(`${number} ${kind} ${root.spanContext().traceId} ${ids.join(" ")} ${nanoseconds}`);
}

// Errors to standard error, which the logger of the API would mix with the output.
diag.setLogger({ ...new DiagConsoleLogger(), error: console.error, warn: console.error }, DiagLogLevel.WARN);
const exporter = new EXPORTERS[process.env.OTEL_EXPORTER_OTLP_PROTOCOL]();
const provider = new TracerProvider({
  resource: resourceFromAttributes({ "service.name": "interop-node" }),
  spanProcessors: [new BatchSpanProcessor({ exporter })],
});
const tracer = provider.getTracer("interop", "1.0");
for (let number = 0; number < Number(process.env.TRACES); number++) send(tracer, number);
await provider.shutdown();
