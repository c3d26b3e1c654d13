package otellock_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	otellock "github.com/sqllock/sqllock/adapters/otel"
	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/election"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
)

// process is a Client with what it exports.
type process struct {
	*sqllock.Client
	*otellock.Tracer
	reader *sdkmetric.ManualReader
	spans  *tracetest.SpanRecorder
	tracer *sdktrace.TracerProvider
}

func newProcess(t *testing.T, db *sqllocktest.Dialect, holder string) *process {
	t.Helper()
	p := &process{reader: sdkmetric.NewManualReader(), spans: tracetest.NewSpanRecorder()}
	p.tracer = sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(p.spans))
	var err error
	p.Tracer, err = otellock.New(&otellock.Options{
		TracerProvider: p.tracer, MeterProvider: sdkmetric.NewMeterProvider(sdkmetric.WithReader(p.reader)),
		Attributes: []attribute.KeyValue{attribute.String("db.system.name", "memory")},
	})
	if err != nil {
		t.Fatal(err)
	}
	p.Client, err = sqllock.New(t.Context(), db, &sqllock.Options{
		Holder: holder, ReapEvery: -1, Logger: slog.New(slog.DiscardHandler), Tracer: p.Tracer,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close(context.Background()) })
	stop, err := p.Watch(p.Client)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stop() })
	return p
}

// metrics returns the values that are exported now, and the count of each histogram, by the
// metric's name and attributes.
func (p *process) metrics(t *testing.T) map[string]float64 {
	t.Helper()
	var all metricdata.ResourceMetrics
	if err := p.reader.Collect(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	values := make(map[string]float64)
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			put := func(set attribute.Set, value float64) {
				values[m.Name+"["+m.Unit+"] "+attributes(set.ToSlice())] = value
			}
			switch data := m.Data.(type) {
			case metricdata.Histogram[float64]:
				for _, d := range data.DataPoints {
					put(d.Attributes, float64(d.Count))
				}
			case metricdata.Sum[float64]:
				for _, d := range data.DataPoints {
					put(d.Attributes, d.Value)
				}
			case metricdata.Gauge[float64]:
				for _, d := range data.DataPoints {
					put(d.Attributes, d.Value)
				}
			case metricdata.Sum[int64]:
				for _, d := range data.DataPoints {
					put(d.Attributes, float64(d.Value))
				}
			case metricdata.Gauge[int64]:
				for _, d := range data.DataPoints {
					put(d.Attributes, float64(d.Value))
				}
			default:
				t.Errorf("%s is a %T", m.Name, data)
			}
		}
	}
	return values
}

// attributes describes attributes, without those that are the same everywhere and the fences.
func attributes(list []attribute.KeyValue) string {
	var text []string
	for _, kv := range list {
		if kv.Key != "db.system.name" && kv.Key != otellock.KeyFence {
			text = append(text, fmt.Sprintf("%s=%s", strings.TrimPrefix(string(kv.Key), "sqllock."), kv.Value.String()))
		}
	}
	slices.Sort(text)
	return strings.Join(text, " ")
}

func (p *process) want(t *testing.T, when string, want map[string]float64) {
	t.Helper()
	got := p.metrics(t)
	for name, want := range want {
		if value, ok := got[name]; !ok || value != want {
			t.Errorf("%s: %q is %g (there: %t); want %g", when, name, value, ok, want)
		}
	}
}

func must[T any](t *testing.T) func(got T, err error) T {
	return func(got T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
}

func TestMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := sqllocktest.New()
		p := newProcess(t, db, "a")
		p.Preregister("boss", "deputy")
		lock := must[*sqllock.Lock](t)(p.Acquire(t.Context(), "customer-17/mail"))
		boss := must[*election.Election](t)(election.New(p.Client, "boss"))
		term := must[*election.Term](t)(boss.Campaign(t.Context()))
		_, err := p.TryAcquire(t.Context(), "customer-17/mail")
		if err == nil {
			t.Error("it was acquired twice")
		}
		time.Sleep(time.Minute)
		p.want(t, "while it is held", map[string]float64{
			"sqllock.held[{lock}] kind=lock": 1, "sqllock.held[{lock}] kind=session": 0,
			"sqllock.leader[{election}] group=boss": 1, "sqllock.leader[{election}] group=deputy": 0,
			"sqllock.term[] group=boss": float64(term.Number()), "sqllock.lease.ttl[s] ": 15,
			"sqllock.acquired[{lock}] ": 2,
			"sqllock.acquire.duration[s] group=customer-* kind=lock mode=exclusive outcome=acquired":     1,
			"sqllock.acquire.duration[s] group=customer-* kind=lock mode=exclusive outcome=not_acquired": 1,
		})
		got := p.metrics(t)
		if n, margin := got["sqllock.heartbeat.duration[s] outcome=ok"], got["sqllock.lease.margin[s] "]; n < 10 ||
			margin < 8 || margin > 9 {
			t.Errorf("%g heartbeats in a minute, %g s left of 15", n, margin)
		}
		if err := lock.Guard(t.Context(), nil); err != nil {
			t.Error(err)
		}
		if err := lock.Release(t.Context()); err != nil {
			t.Error(err)
		}
		_ = must[*sqllock.Lock](t)(p.Acquire(t.Context(), "customer-18/mail"))
		db.Outage(true)
		time.Sleep(time.Minute)
		db.Outage(false)
		synctest.Wait()
		p.want(t, "after an outage", map[string]float64{
			"sqllock.held[{lock}] kind=lock": 0, "sqllock.leader[{election}] group=boss": 0,
			"sqllock.lost[{lock}] ": 2, "sqllock.lease.margin[s] ": 0,
			"sqllock.hold.duration[s] end=released group=customer-* kind=lock mode=exclusive": 1,
			"sqllock.hold.duration[s] end=lost group=customer-* kind=lock mode=exclusive":     1,
			"sqllock.guard.duration[s] group=customer-* outcome=ok":                           1,
		})
		for name := range p.metrics(t) {
			if strings.Contains(name, "17") {
				t.Errorf("a name is an attribute of a metric: %s", name)
			}
		}
	})
}

// Each span is a child of the right one, and says what it is about.
func TestSpans(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := sqllocktest.New()
		p, other := newProcess(t, db, "a"), newProcess(t, db, "b")
		theirs := must[*sqllock.Lock](t)(other.Acquire(t.Context(), "job"))
		ctx, caller := p.tracer.Tracer("test").Start(t.Context(), "caller")
		time.AfterFunc(time.Second, func() { _ = theirs.Release(context.Background()) })
		lock := must[*sqllock.Lock](t)(p.Acquire(ctx, "job"))
		if err := lock.Guard(ctx, nil); err != nil {
			t.Error(err)
		}
		_, _ = p.TryAcquire(ctx, "job")
		if err := lock.Release(ctx); err != nil {
			t.Error(err)
		}
		lost := must[*sqllock.Lock](t)(p.Acquire(t.Context(), "lost"))
		if _, err := p.Break(ctx, "lost", lost.Fence()); err != nil {
			t.Error(err)
		}
		_ = lost.Guard(ctx, nil)
		caller.End()

		names := map[string]string{}
		ended := p.spans.Ended()
		for _, s := range ended {
			names[s.SpanContext().SpanID().String()] = s.Name()
		}
		var got []string
		for _, s := range ended {
			status := ""
			if s.Status().Code == codes.Error {
				status = ", an error"
			}
			got = append(got, fmt.Sprintf("%s in %s: %s%s", s.Name(), names[s.Parent().SpanID().String()],
				attributes(s.Attributes()), status))
		}
		want := []string{
			"sqllock wait in sqllock acquire: holder=b kind=lock mode=exclusive name=job outcome=acquired",
			"sqllock acquire in caller: kind=lock mode=exclusive name=job outcome=acquired",
			"sqllock guard in caller: kind=lock mode=exclusive name=job outcome=ok",
			"sqllock acquire in caller: kind=lock mode=exclusive name=job outcome=not_acquired",
			"sqllock acquire in : kind=lock mode=exclusive name=lost outcome=acquired",
			"sqllock break in caller: holder=a kind=lock name=lost",
			"sqllock guard in caller: kind=lock mode=exclusive name=lost outcome=refused, an error",
			"caller in : ",
		}
		if !slices.Equal(got, want) {
			t.Errorf("got  %s\nwant %s", strings.Join(got, "\n     "), strings.Join(want, "\n     "))
		}
		p.want(t, "after one wait", map[string]float64{
			"sqllock.wait.duration[s] group=job kind=lock mode=exclusive outcome=acquired": 1,
		})
	})
}
