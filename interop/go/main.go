// Sends traces by the OpenTelemetry SDK for Go; see ../README.md.
package main

import (
	"context"
	"fmt"
	"log"
	"math"
	"os"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

func main() {
	ctx := context.Background()
	count, err := strconv.Atoi(os.Getenv("TRACES"))
	if err != nil {
		log.Fatal(err)
	}
	// Endpoint, compression and the encoding over HTTP are read from the environment.
	var exporter sdktrace.SpanExporter
	if os.Getenv("OTEL_EXPORTER_OTLP_PROTOCOL") == "grpc" {
		exporter, err = otlptracegrpc.New(ctx)
	} else {
		exporter, err = otlptracehttp.New(ctx)
	}
	if err != nil {
		log.Fatal(err)
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Print(err) }))
	provider := sdktrace.NewTracerProvider(
		sdktrace.WithBatcher(exporter),
		sdktrace.WithResource(resource.NewSchemaless(attribute.String("service.name", "interop-go"))),
	)
	tracer := provider.Tracer("interop", trace.WithInstrumentationVersion("1.0"))
	for number := range count {
		send(ctx, tracer, number)
	}
	if err := provider.Shutdown(ctx); err != nil {
		log.Fatal(err)
	}
}

// send makes one trace and prints what it is.
func send(ctx context.Context, tracer trace.Tracer, number int) {
	kind := [...]string{"error", "slow", "plain", "plain", "plain"}[number%5]
	duration := 10 * time.Millisecond
	if kind == "slow" {
		duration = 600 * time.Millisecond
	}
	start := time.Now()
	ctx, root := tracer.Start(ctx, "GET /cart",
		trace.WithTimestamp(start), trace.WithSpanKind(trace.SpanKindServer),
		trace.WithAttributes(
			attribute.String("shop.user", "Zoë ☕"),
			attribute.Bool("shop.returning", true),
			attribute.Int("shop.number", number),
			attribute.Float64("shop.discount", 0.25),
			attribute.Float64("shop.ratio", math.NaN()),
			attribute.StringSlice("shop.tags", []string{"a", "b"}),
		))
	_, query := tracer.Start(ctx, "SELECT cart",
		trace.WithTimestamp(start.Add(time.Millisecond)), trace.WithSpanKind(trace.SpanKindClient))
	query.AddEvent("cache.miss", trace.WithTimestamp(start.Add(2*time.Millisecond)),
		trace.WithAttributes(attribute.String("cache.key", "cart")))
	if kind == "error" {
		query.SetStatus(codes.Error, "no such cart")
	}
	query.End(trace.WithTimestamp(start.Add(6 * time.Millisecond)))
	_, render := tracer.Start(ctx, "render",
		trace.WithTimestamp(start.Add(7*time.Millisecond)),
		trace.WithLinks(trace.Link{SpanContext: query.SpanContext()}))
	render.End(trace.WithTimestamp(start.Add(9 * time.Millisecond)))
	root.End(trace.WithTimestamp(start.Add(duration)))

	var ids []string
	for _, span := range []trace.Span{root, query, render} {
		ids = append(ids, span.SpanContext().SpanID().String())
	}
	fmt.Println(number, kind, root.SpanContext().TraceID(), strings.Join(ids, " "), start.UnixNano())
}
