import static java.util.concurrent.TimeUnit.MILLISECONDS;
import static java.util.concurrent.TimeUnit.NANOSECONDS;
import static java.util.concurrent.TimeUnit.SECONDS;

import io.opentelemetry.api.common.AttributeKey;
import io.opentelemetry.api.common.Attributes;
import io.opentelemetry.api.trace.Span;
import io.opentelemetry.api.trace.SpanKind;
import io.opentelemetry.api.trace.StatusCode;
import io.opentelemetry.api.trace.Tracer;
import io.opentelemetry.context.Context;
import io.opentelemetry.exporter.otlp.http.trace.OtlpHttpSpanExporter;
import io.opentelemetry.exporter.otlp.trace.OtlpGrpcSpanExporter;
import io.opentelemetry.sdk.resources.Resource;
import io.opentelemetry.sdk.trace.SdkTracerProvider;
import io.opentelemetry.sdk.trace.export.BatchSpanProcessor;
import io.opentelemetry.sdk.trace.export.SpanExporter;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.List;

/** Sends traces by the OpenTelemetry SDK for Java; see ../README.md. */
public final class Send {
  private static final String[] KINDS = {"error", "slow", "plain", "plain", "plain"};
  private static final PrintStream OUT = new PrintStream(System.out, true, StandardCharsets.UTF_8);

  public static void main(String[] arguments) {
    SdkTracerProvider provider =
        SdkTracerProvider.builder()
            .setResource(
                Resource.create(
                    Attributes.of(AttributeKey.stringKey("service.name"), "interop-java")))
            .addSpanProcessor(BatchSpanProcessor.builder(exporter()).build())
            .build();
    Tracer tracer = provider.tracerBuilder("interop").setInstrumentationVersion("1.0").build();
    int count = Integer.parseInt(System.getenv("TRACES"));
    for (int number = 0; number < count; number++) {
      send(tracer, number);
    }
    provider.shutdown().join(30, SECONDS);
  }

  /** The builders do not read the environment. */
  private static SpanExporter exporter() {
    String endpoint = System.getenv("OTEL_EXPORTER_OTLP_ENDPOINT");
    String compression = System.getenv("OTEL_EXPORTER_OTLP_COMPRESSION");
    if (System.getenv("OTEL_EXPORTER_OTLP_PROTOCOL").equals("grpc")) {
      return OtlpGrpcSpanExporter.builder()
          .setEndpoint(endpoint)
          .setCompression(compression)
          .build();
    }
    return OtlpHttpSpanExporter.builder()
        .setEndpoint(endpoint + "/v1/traces")
        .setCompression(compression)
        .build();
  }

  /** Makes one trace and prints what it is. */
  private static void send(Tracer tracer, int number) {
    String kind = KINDS[number % KINDS.length];
    long duration = kind.equals("slow") ? 600 : 10;
    Instant now = Instant.now();
    long start = SECONDS.toNanos(now.getEpochSecond()) + now.getNano();
    Span root =
        tracer
            .spanBuilder("GET /cart")
            .setSpanKind(SpanKind.SERVER)
            .setStartTimestamp(start, NANOSECONDS)
            .setAttribute("shop.user", "Zoë ☕")
            .setAttribute("shop.returning", true)
            .setAttribute("shop.number", number)
            .setAttribute("shop.discount", 0.25)
            .setAttribute("shop.ratio", Double.NaN)
            .setAttribute(AttributeKey.stringArrayKey("shop.tags"), List.of("a", "b"))
            .startSpan();
    Context context = Context.root().with(root);
    Span query =
        tracer
            .spanBuilder("SELECT cart")
            .setParent(context)
            .setSpanKind(SpanKind.CLIENT)
            .setStartTimestamp(start + MILLISECONDS.toNanos(1), NANOSECONDS)
            .startSpan();
    query.addEvent(
        "cache.miss",
        Attributes.of(AttributeKey.stringKey("cache.key"), "cart"),
        start + MILLISECONDS.toNanos(2),
        NANOSECONDS);
    if (kind.equals("error")) {
      query.setStatus(StatusCode.ERROR, "no such cart");
    }
    query.end(start + MILLISECONDS.toNanos(6), NANOSECONDS);
    Span render =
        tracer
            .spanBuilder("render")
            .setParent(context)
            .setStartTimestamp(start + MILLISECONDS.toNanos(7), NANOSECONDS)
            .addLink(query.getSpanContext())
            .startSpan();
    render.end(start + MILLISECONDS.toNanos(9), NANOSECONDS);
    root.end(start + MILLISECONDS.toNanos(duration), NANOSECONDS);

    StringBuilder line = new StringBuilder();
    line.append(number).append(' ').append(kind).append(' ');
    line.append(root.getSpanContext().getTraceId());
    for (Span span : new Span[] {root, query, render}) {
      line.append(' ').append(span.getSpanContext().getSpanId());
    }
    OUT.println(line.append(' ').append(start));
  }

  private Send() {}
}
