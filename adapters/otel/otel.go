// Package otellock has the metrics and the spans of a [sqllock.Client] for OpenTelemetry. A
// [Tracer] is the Client's tracer.
//
// # Spans
//
//   - "sqllock acquire": an acquisition, as a child of the span in the ctx of its caller. Spans of
//     the database's driver are its children.
//   - "sqllock wait", a child of that: the part in which it waited. It says who held the lock.
//   - "sqllock guard" and "sqllock break".
//
// The name of the lock is an attribute of the spans. A lock that is held has no span, since a span
// that lasts for hours is seen only when it ends; a metric has the durations.
//
// # Metrics
//
// Durations are in seconds. The attributes of metrics are "sqllock.kind", "sqllock.mode",
// "sqllock.outcome", "sqllock.end" and "sqllock.group", each where it fits, and what
// [Options].Attributes adds, for instance db.system.name. The name of a lock is never one of them:
// see [Options].NameGroup.
package otellock

import (
	"context"
	"errors"
	"fmt"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/observe"
)

// scope is the name of the instrumentation.
const scope = "github.com/sqllock/sqllock/adapters/otel"

// The attributes of spans and metrics.
const (
	KeyName    = attribute.Key("sqllock.name")    // the lock's name; on spans only
	KeyHolder  = attribute.Key("sqllock.holder")  // who holds the lock that is waited for; on spans only
	KeyFence   = attribute.Key("sqllock.fence")   // the fencing token; on spans only
	KeyKind    = attribute.Key("sqllock.kind")    // a sqllock.Kind
	KeyMode    = attribute.Key("sqllock.mode")    // "exclusive" or "shared"
	KeyOutcome = attribute.Key("sqllock.outcome") // a sqllock.Outcome; "ok", "refused" or "failed" of other calls
	KeyEnd     = attribute.Key("sqllock.end")     // a sqllock.End
	KeyGroup   = attribute.Key("sqllock.group")   // the group of the lock's name
	KeyWhat    = attribute.Key("sqllock.what")    // what the reaper has removed
)

// Options are the options of [New]. The zero value of each field is its default.
type Options struct {
	TracerProvider trace.TracerProvider // the default is the global one
	MeterProvider  metric.MeterProvider // the default is the global one

	// Attributes are added to all spans and metrics, for instance db.system.name, or a name of the
	// database if the program has several Clients.
	Attributes []attribute.KeyValue

	// NameGroup returns the group of a lock's name, for metrics. The default is
	// [observe.NameGroup].
	NameGroup func(name string) string

	// MaxGroups is how many groups are told apart; the names beyond that are in the group
	// [observe.Other]. The default is [observe.DefaultMax].
	MaxGroups int
}

// Tracer traces one Client. It is safe for concurrent use.
type Tracer struct {
	tracer trace.Tracer
	meter  metric.Meter
	common []attribute.KeyValue
	groups observe.Groups

	acquires, waits, holds, heartbeats, guards metric.Float64Histogram
	leaders                                    metric.Int64UpDownCounter
	terms                                      metric.Int64Gauge
}

// A tracer implements what it traces by the names of its methods, so the compiler has to check.
var (
	_ sqllock.AcquireTracer   = (*Tracer)(nil)
	_ sqllock.WaitTracer      = (*Tracer)(nil)
	_ sqllock.HoldTracer      = (*Tracer)(nil)
	_ sqllock.HeartbeatTracer = (*Tracer)(nil)
	_ sqllock.GuardTracer     = (*Tracer)(nil)
	_ sqllock.BreakTracer     = (*Tracer)(nil)
	_ sqllock.TermTracer      = (*Tracer)(nil)
)

// New returns a tracer for one Client. Pass it to [sqllock.New] as the Tracer, and pass the Client
// to [Tracer.Watch]. opts may be nil. The error is that of a MeterProvider that refuses a metric.
func New(opts *Options) (*Tracer, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	if o.TracerProvider == nil {
		o.TracerProvider = otel.GetTracerProvider()
	}
	if o.MeterProvider == nil {
		o.MeterProvider = otel.GetMeterProvider()
	}
	t := &Tracer{
		tracer: o.TracerProvider.Tracer(scope), meter: o.MeterProvider.Meter(scope),
		common: o.Attributes, groups: observe.Groups{Of: o.NameGroup, Max: o.MaxGroups},
	}
	var errs [7]error
	histogram := func(i int, name, description string, bounds []float64) (h metric.Float64Histogram) {
		h, errs[i] = t.meter.Float64Histogram(name, metric.WithUnit("s"), metric.WithDescription(description),
			metric.WithExplicitBucketBoundaries(bounds...))
		return h
	}
	t.acquires = histogram(0, "sqllock.acquire.duration", "How long acquisitions took, including the wait.",
		observe.LongBuckets())
	t.waits = histogram(1, "sqllock.wait.duration", "How long acquisitions waited for a holder, of those that had to.",
		observe.LongBuckets())
	t.holds = histogram(2, "sqllock.hold.duration", "How long locks were held.", observe.LongBuckets())
	t.heartbeats = histogram(3, "sqllock.heartbeat.duration", "How long heartbeats took.", observe.Buckets())
	t.guards = histogram(4, "sqllock.guard.duration", "How long guards took.", observe.Buckets())
	t.leaders, errs[5] = t.meter.Int64UpDownCounter("sqllock.leader", metric.WithUnit("{election}"),
		metric.WithDescription("Elections of the group that this process leads now."))
	t.terms, errs[6] = t.meter.Int64Gauge("sqllock.term",
		metric.WithDescription("The number of the latest term of this process."))
	if err := errors.Join(errs[:]...); err != nil {
		return nil, fmt.Errorf("otellock: making the metrics: %w", err)
	}
	return t, nil
}

// Preregister records zero for the groups of elections, so that a board shows that nobody leads
// before the first term. OpenTelemetry has no histograms without values, so there is nothing to
// register for other kinds.
func (t *Tracer) Preregister(groups ...string) {
	for _, group := range groups {
		if !t.groups.Add(group) {
			group = observe.Other
		}
		t.leaders.Add(context.Background(), 0, t.with(KeyGroup.String(group)))
	}
}

// with returns the attributes of a metric, together with those of the options.
func (t *Tracer) with(attributes ...attribute.KeyValue) metric.MeasurementOption {
	return metric.WithAttributes(append(attributes, t.common...)...)
}

// labels returns the attributes of an event of a lock, for metrics.
func (t *Tracer) labels(lock sqllock.LockData, more ...attribute.KeyValue) metric.MeasurementOption {
	return t.with(append(more, KeyKind.String(string(lock.Kind)), KeyMode.String(mode(lock)),
		KeyGroup.String(t.groups.Group(lock.Name)))...)
}

func mode(lock sqllock.LockData) string {
	if lock.Shared {
		return "shared"
	}
	return "exclusive"
}

// start begins a span about a lock.
func (t *Tracer) start(
	ctx context.Context, what string, kind trace.SpanKind, attributes ...attribute.KeyValue,
) context.Context {
	ctx, _ = t.tracer.Start(ctx, "sqllock "+what, trace.WithSpanKind(kind),
		trace.WithAttributes(append(attributes, t.common...)...))
	return ctx
}

// describe returns the attributes of a span about a lock.
func describe(lock sqllock.LockData, more ...attribute.KeyValue) []attribute.KeyValue {
	return append(more, KeyName.String(lock.Name), KeyKind.String(string(lock.Kind)), KeyMode.String(mode(lock)))
}

// end ends the span in ctx, with err if it failed.
func end(ctx context.Context, err error, attributes ...attribute.KeyValue) {
	span := trace.SpanFromContext(ctx)
	span.SetAttributes(attributes...)
	if err != nil {
		span.RecordError(err)
		span.SetStatus(codes.Error, err.Error())
	}
	span.End()
}

// AcquireStart implements [sqllock.AcquireTracer].
func (t *Tracer) AcquireStart(ctx context.Context, data sqllock.AcquireStartData) context.Context {
	var names []attribute.KeyValue
	if data.Names != nil {
		names = append(names, attribute.StringSlice("sqllock.names", data.Names))
	}
	return t.start(ctx, "acquire", trace.SpanKindClient, describe(data.LockData, names...)...)
}

// AcquireEnd implements [sqllock.AcquireTracer]. That a lock is held is no error of a TryAcquire.
func (t *Tracer) AcquireEnd(ctx context.Context, data sqllock.AcquireEndData) {
	outcome := KeyOutcome.String(string(data.Outcome))
	t.acquires.Record(ctx, data.Duration.Seconds(), t.labels(data.LockData, outcome))
	err := data.Err
	if data.Outcome == sqllock.OutcomeNotAcquired {
		err = nil
	}
	attributes := []attribute.KeyValue{outcome}
	if data.Fence != 0 {
		attributes = append(attributes, KeyFence.Int64(data.Fence))
	}
	end(ctx, err, attributes...)
}

// WaitStart implements [sqllock.WaitTracer].
func (t *Tracer) WaitStart(ctx context.Context, data sqllock.WaitStartData) context.Context {
	return t.start(ctx, "wait", trace.SpanKindInternal, describe(data.LockData, holder(data.Holder)...)...)
}

// WaitEnd implements [sqllock.WaitTracer]. The acquisition's span has its error.
func (t *Tracer) WaitEnd(ctx context.Context, data sqllock.WaitEndData) {
	outcome := KeyOutcome.String(string(data.Outcome))
	t.waits.Record(ctx, data.Duration.Seconds(), t.labels(data.LockData, outcome))
	end(ctx, nil, append(holder(data.Holder), outcome)...)
}

// holder returns the attribute that says for whom one waits, if that is known.
func holder(e *sqllock.HeldError) []attribute.KeyValue {
	if e == nil || e.Holder == "" {
		return nil
	}
	return []attribute.KeyValue{KeyHolder.String(e.Holder)}
}

// HoldStart implements [sqllock.HoldTracer].
func (t *Tracer) HoldStart(ctx context.Context, _ sqllock.HoldStartData) context.Context { return ctx }

// HoldEnd implements [sqllock.HoldTracer].
func (t *Tracer) HoldEnd(ctx context.Context, data sqllock.HoldEndData) {
	t.holds.Record(ctx, data.Duration.Seconds(), t.labels(data.LockData, KeyEnd.String(string(data.End))))
}

// HeartbeatStart implements [sqllock.HeartbeatTracer].
func (t *Tracer) HeartbeatStart(ctx context.Context, _ sqllock.HeartbeatStartData) context.Context {
	return ctx
}

// HeartbeatEnd implements [sqllock.HeartbeatTracer].
func (t *Tracer) HeartbeatEnd(ctx context.Context, data sqllock.HeartbeatEndData) {
	t.heartbeats.Record(ctx, data.Duration.Seconds(), t.with(KeyOutcome.String(succeeded(data.Err))))
}

func succeeded(err error) string {
	if err != nil {
		return "failed"
	}
	return "ok"
}

// GuardStart implements [sqllock.GuardTracer].
func (t *Tracer) GuardStart(ctx context.Context, data sqllock.GuardStartData) context.Context {
	return t.start(ctx, "guard", trace.SpanKindClient, describe(data.LockData, KeyFence.Int64(data.Fence))...)
}

// GuardEnd implements [sqllock.GuardTracer].
func (t *Tracer) GuardEnd(ctx context.Context, data sqllock.GuardEndData) {
	outcome := KeyOutcome.String(succeeded(data.Err))
	if data.Refused {
		outcome = KeyOutcome.String("refused")
	}
	t.guards.Record(ctx, data.Duration.Seconds(), t.with(outcome, KeyGroup.String(t.groups.Group(data.Name))))
	end(ctx, data.Err, outcome)
}

// BreakStart implements [sqllock.BreakTracer].
func (t *Tracer) BreakStart(ctx context.Context, data sqllock.BreakStartData) context.Context {
	return t.start(ctx, "break", trace.SpanKindClient, KeyName.String(data.Name), KeyFence.Int64(data.Fence))
}

// BreakEnd implements [sqllock.BreakTracer].
func (t *Tracer) BreakEnd(ctx context.Context, data sqllock.BreakEndData) {
	end(ctx, data.Err, KeyKind.String(string(data.Found.Kind)), KeyHolder.String(data.Found.Holder))
}

// TermStart implements [sqllock.TermTracer].
func (t *Tracer) TermStart(ctx context.Context, data sqllock.TermStartData) context.Context {
	group := t.with(KeyGroup.String(t.groups.Group(data.Election)))
	t.leaders.Add(ctx, 1, group)
	t.terms.Record(ctx, data.Number, group)
	return ctx
}

// TermEnd implements [sqllock.TermTracer].
func (t *Tracer) TermEnd(ctx context.Context, data sqllock.TermEndData) {
	t.leaders.Add(ctx, -1, t.with(KeyGroup.String(t.groups.Group(data.Election))))
}
