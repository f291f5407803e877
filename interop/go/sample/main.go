// Samples by what a Jaeger sampling server says, with the OpenTelemetry SDK for Go; see ../../README.md.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"go.opentelemetry.io/contrib/samplers/jaegerremote"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

const traces = 1000

func main() {
	shop, limited := tracer("shop"), tracer("limited")
	for {
		fmt.Println(sampled(shop, "always"), sampled(shop, "never"), sampled(shop, "half"), sampled(limited, "any"))
		time.Sleep(200 * time.Millisecond)
	}
}

func tracer(service string) trace.Tracer {
	sampler := jaegerremote.New(
		service,
		jaegerremote.WithSamplingServerURL(os.Getenv("SAMPLING_HTTP")+"/sampling"),
		jaegerremote.WithSamplingRefreshInterval(100*time.Millisecond),
		jaegerremote.WithInitialSampler(sdktrace.NeverSample()),
	)
	return sdktrace.NewTracerProvider(sdktrace.WithSampler(sampler)).Tracer("interop")
}

func sampled(tracer trace.Tracer, operation string) int {
	count := 0
	for range traces {
		_, span := tracer.Start(context.Background(), operation)
		if span.SpanContext().IsSampled() {
			count++
		}
	}
	return count
}
