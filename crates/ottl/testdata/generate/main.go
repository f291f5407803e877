// Writes what the Collector answers to the conditions in ../conditions.txt on the spans in ../spans.json.
//
// Conditions are parsed as the tail sampling processor parses those of a policy `ottl_condition`: with the
// standard converters, and with paths that may lack their context.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl/contexts/ottlspan"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl/contexts/ottlspanevent"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl/ottlfuncs"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// answer is what one condition says of every span, or of every event of every span.
type answer struct {
	Context   string   `json:"context"`
	Condition string   `json:"condition"`
	Invalid   string   `json:"invalid,omitempty"`
	Answers   []string `json:"answers,omitempty"`
}

func main() {
	traces := spans()
	file, err := os.Open("../conditions.txt")
	check(err)
	var answers []answer
	for lines := bufio.NewScanner(file); lines.Scan(); {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, condition, found := strings.Cut(line, ": ")
		if !found {
			panic("no context in " + line)
		}
		entry := answer{Context: name, Condition: condition}
		switch name {
		case "span":
			err = onSpans(&entry, traces)
		case "spanevent":
			err = onEvents(&entry, traces)
		default:
			panic("unknown context in " + line)
		}
		if err != nil {
			entry.Invalid = err.Error()
		}
		answers = append(answers, entry)
	}
	out, err := os.Create("../expected.jsonl")
	check(err)
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	for _, entry := range answers {
		check(encoder.Encode(entry))
	}
	check(out.Close())
}

func spans() ptrace.Traces {
	text, err := os.ReadFile("../spans.json")
	check(err)
	traces, err := (&ptrace.JSONUnmarshaler{}).UnmarshalTraces(text)
	check(err)
	return traces
}

func onSpans(entry *answer, traces ptrace.Traces) error {
	functions := ottlfuncs.StandardConverters[*ottlspan.TransformContext]()
	root := ottlfuncs.NewIsRootSpanFactoryNew()
	functions[root.Name()] = root
	parser, err := ottlspan.NewParser(functions, componenttest.NewNopTelemetrySettings(), ottlspan.EnablePathContextNames())
	check(err)
	condition, err := parse(ottlspan.ContextName, parser, entry.Condition)
	if err != nil {
		return err
	}
	each(traces, func(rs ptrace.ResourceSpans, ss ptrace.ScopeSpans, span ptrace.Span) {
		entry.Answers = append(entry.Answers, evaluate(condition, ottlspan.NewTransformContextPtr(rs, ss, span)))
	})
	return nil
}

func onEvents(entry *answer, traces ptrace.Traces) error {
	functions := ottlfuncs.StandardConverters[*ottlspanevent.TransformContext]()
	parser, err := ottlspanevent.NewParser(functions, componenttest.NewNopTelemetrySettings(), ottlspanevent.EnablePathContextNames())
	check(err)
	condition, err := parse(ottlspanevent.ContextName, parser, entry.Condition)
	if err != nil {
		return err
	}
	each(traces, func(rs ptrace.ResourceSpans, ss ptrace.ScopeSpans, span ptrace.Span) {
		for index, event := range span.Events().All() {
			number := ottlspanevent.WithEventIndex(int64(index))
			tCtx := ottlspanevent.NewTransformContextPtr(rs, ss, span, event, number)
			entry.Answers = append(entry.Answers, evaluate(condition, tCtx))
		}
	})
	return nil
}

func parse[K any](name string, parser ottl.Parser[K], condition string) (*ottl.Condition[K], error) {
	collection, err := ottl.NewParserCollection(
		componenttest.NewNopTelemetrySettings(),
		ottl.WithParserCollectionContext(name, &parser, ottl.WithConditionConverter(
			func(_ *ottl.ParserCollection[*ottl.Condition[K]], _ ottl.ConditionsGetter, parsed []*ottl.Condition[K]) (*ottl.Condition[K], error) {
				return parsed[0], nil
			},
		)),
	)
	check(err)
	return collection.ParseConditionsWithContext(name, ottl.NewConditionsGetter([]string{condition}), true)
}

// evaluate also survives the comparisons that make the Collector panic.
func evaluate[K any](condition *ottl.Condition[K], tCtx K) (result string) {
	defer func() {
		if panicked := recover(); panicked != nil {
			result = "panic"
		}
	}()
	held, err := condition.Eval(context.Background(), tCtx)
	if err != nil {
		return "error"
	}
	return fmt.Sprint(held)
}

func each(traces ptrace.Traces, visit func(ptrace.ResourceSpans, ptrace.ScopeSpans, ptrace.Span)) {
	for _, rs := range traces.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, span := range ss.Spans().All() {
				visit(rs, ss, span)
			}
		}
	}
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
