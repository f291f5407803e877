import io.opentelemetry.api.trace.Tracer;
import io.opentelemetry.sdk.extension.trace.jaeger.sampler.JaegerRemoteSampler;
import io.opentelemetry.sdk.trace.SdkTracerProvider;
import io.opentelemetry.sdk.trace.samplers.Sampler;
import java.util.concurrent.TimeUnit;

/** Samples by what a Jaeger sampling server says, with the OpenTelemetry SDK for Java; see ../README.md. */
public final class Sample {
  private static final int TRACES = 1000;

  public static void main(String[] arguments) throws InterruptedException {
    Tracer shop = tracer("shop");
    Tracer limited = tracer("limited");
    while (true) {
      System.out.printf(
          "%d %d %d %d%n",
          sampled(shop, "always"), sampled(shop, "never"), sampled(shop, "half"), sampled(limited, "any"));
      Thread.sleep(200);
    }
  }

  private static Tracer tracer(String service) {
    Sampler sampler =
        JaegerRemoteSampler.builder()
            .setEndpoint(System.getenv("SAMPLING_GRPC"))
            .setServiceName(service)
            .setPollingInterval(100, TimeUnit.MILLISECONDS)
            .setInitialSampler(Sampler.alwaysOff())
            .build();
    return SdkTracerProvider.builder().setSampler(sampler).build().get("interop");
  }

  private static int sampled(Tracer tracer, String operation) {
    int count = 0;
    for (int number = 0; number < TRACES; number++) {
      if (tracer.spanBuilder(operation).startSpan().getSpanContext().isSampled()) {
        count++;
      }
    }
    return count;
  }
}
