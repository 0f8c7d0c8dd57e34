// Evaluates expressions with the engine of Prometheus 3: JSON in, one line of JSON for each out.
//
// In: {"step_ms": 1000, "series": [{"labels": {…}, "values": ["1", null, …]}], "cases": [["expr", at_ms], …]}
// Out: null for an error, else [[labels, "value"], …], a scalar under no labels.
package main

import (
	"context"
	"encoding/json"
	"os"
	"strconv"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/util/annotations"
)

type asked struct {
	StepMs int64 `json:"step_ms"`
	Series []struct {
		Labels map[string]string `json:"labels"`
		Values []*string         `json:"values"`
	} `json:"series"`
	Cases [][2]json.RawMessage `json:"cases"`
}

type sample struct {
	t int64
	v float64
}

func (s sample) T() int64                      { return s.t }
func (s sample) ST() int64                     { return 0 }
func (s sample) F() float64                    { return s.v }
func (s sample) H() *histogram.Histogram       { return nil }
func (s sample) FH() *histogram.FloatHistogram { return nil }
func (s sample) Type() chunkenc.ValueType      { return chunkenc.ValFloat }
func (s sample) Copy() chunks.Sample           { return s }

type memory struct{ series []storage.Series }

func (m memory) Querier(_, _ int64) (storage.Querier, error) { return m, nil }
func (m memory) Close() error                                { return nil }

func (m memory) LabelValues(context.Context, string, *storage.LabelHints, ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return nil, nil, nil
}

func (m memory) LabelNames(context.Context, *storage.LabelHints, ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return nil, nil, nil
}

func (m memory) Select(_ context.Context, _ bool, _ *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
	found := &set{at: -1}
	for _, each := range m.series {
		fits := true
		for _, matcher := range matchers {
			fits = fits && matcher.Matches(each.Labels().Get(matcher.Name))
		}
		if fits {
			found.series = append(found.series, each)
		}
	}
	return found
}

type set struct {
	series []storage.Series
	at     int
}

func (s *set) Next() bool                        { s.at++; return s.at < len(s.series) }
func (s *set) At() storage.Series                { return s.series[s.at] }
func (s *set) Err() error                        { return nil }
func (s *set) Warnings() annotations.Annotations { return nil }

func main() {
	var in asked
	must(json.NewDecoder(os.Stdin).Decode(&in))
	var data memory
	for _, each := range in.Series {
		var samples []chunks.Sample
		for n, value := range each.Values {
			if value != nil {
				v, err := strconv.ParseFloat(*value, 64)
				must(err)
				samples = append(samples, sample{int64(n) * in.StepMs, v})
			}
		}
		data.series = append(data.series, storage.NewListSeries(labels.FromMap(each.Labels), samples))
	}
	engine := promql.NewEngine(promql.EngineOpts{
		MaxSamples:               50_000_000,
		Timeout:                  time.Minute,
		LookbackDelta:            5 * time.Minute,
		EnableAtModifier:         true,
		EnableNegativeOffset:     true,
		NoStepSubqueryIntervalFn: func(int64) int64 { return in.StepMs },
		Parser:                   parser.NewParser(parser.Options{}),
	})
	out := json.NewEncoder(os.Stdout)
	for _, each := range in.Cases {
		var expr string
		var at int64
		must(json.Unmarshal(each[0], &expr))
		must(json.Unmarshal(each[1], &at))
		must(out.Encode(evaluated(engine, data, expr, time.UnixMilli(at))))
	}
}

func evaluated(engine *promql.Engine, data memory, expr string, at time.Time) [][2]any {
	query, err := engine.NewInstantQuery(context.Background(), data, nil, expr, at)
	if err != nil {
		return nil
	}
	defer query.Close()
	result := query.Exec(context.Background())
	if result.Err != nil {
		return nil
	}
	found := [][2]any{}
	switch value := result.Value.(type) {
	case promql.Scalar:
		found = append(found, [2]any{map[string]string{}, number(value.V)})
	case promql.Vector:
		for _, each := range value {
			found = append(found, [2]any{each.Metric.Map(), number(each.F)})
		}
	}
	return found
}

func number(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }

func must(err error) {
	if err != nil {
		panic(err)
	}
}
