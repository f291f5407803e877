// Samples by what a Jaeger sampling server says, with the OpenTelemetry SDK for Node.js; see ../README.md.
import { AlwaysOffSampler, TracerProvider } from "@opentelemetry/sdk-trace";
import { JaegerRemoteSampler } from "@opentelemetry/sampler-jaeger-remote";

const TRACES = 1000;

function tracer(serviceName) {
  const sampler = new JaegerRemoteSampler({
    endpoint: process.env.SAMPLING_HTTP,
    serviceName,
    poolingInterval: 100,
    initialSampler: new AlwaysOffSampler(),
  });
  return new TracerProvider({ sampler }).getTracer("interop");
}

function sampled(tracer, operation) {
  let count = 0;
  for (let number = 0; number < TRACES; number++) {
    if (tracer.startSpan(operation).isRecording()) count++;
  }
  return count;
}

const shop = tracer("shop");
const limited = tracer("limited");
setInterval(() => {
  console.log(sampled(shop, "always"), sampled(shop, "never"), sampled(shop, "half"), sampled(limited, "any"));
}, 200);
