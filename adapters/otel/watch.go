package otellock

import (
	"context"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/sqllock/sqllock/sqllock"
)

// figure is a metric that is read from a Client's figures.
type figure struct {
	name, unit, description string

	counter bool
	read    func(s *sqllock.Stats, put put)
}

// put takes one value of a figure, with its attributes.
type put func(value float64, attributes ...attribute.KeyValue)

var figures = []figure{
	{"sqllock.held", "{lock}", "Locks that are held now.", false, byKind(func(s *sqllock.Stats) map[sqllock.Kind]int {
		return s.Held
	})},
	{
		"sqllock.waiting", "{caller}", "Callers that wait for a lock now, or whose acquisition is in progress.", false,
		byKind(func(s *sqllock.Stats) map[sqllock.Kind]int { return s.Waiting }),
	},
	{"sqllock.leases", "{lease}", "Open leases, and connections for session locks.", false, gauge(
		func(s *sqllock.Stats) float64 { return float64(s.Leases) })},
	{
		"sqllock.lease.margin", "s",
		"The least time that was left of a lease within the last minute or two, before all locks under it are lost.",
		false, ifLease(func(s *sqllock.Stats) time.Duration { return s.LeaseMargin }),
	},
	{
		"sqllock.lease.ttl", "s", "The TTL of the lease that sqllock.lease.margin is about.", false,
		ifLease(func(s *sqllock.Stats) time.Duration { return s.LeaseTTL }),
	},
	counter("sqllock.acquired", "{lock}", "Locks that were granted.",
		func(s *sqllock.Stats) int64 { return s.Acquired }),
	counter("sqllock.lost", "{lock}", "Locks that were lost or broken while they were held.",
		func(s *sqllock.Stats) int64 { return s.Lost }),
	counter("sqllock.guard.refused", "{guard}", "Guards that refused because the lock was lost.",
		func(s *sqllock.Stats) int64 { return s.GuardsRefused }),
	counter("sqllock.deadlocks", "{deadlock}", "Acquisitions that ended with a deadlock.",
		func(s *sqllock.Stats) int64 { return s.Deadlocks }),
	counter("sqllock.breaks", "{lock}", "Locks that this process took away from their holders.",
		func(s *sqllock.Stats) int64 { return s.Breaks }),
	counter("sqllock.freed", "{lock}", "Locks of dead holders that acquisitions of this process have freed.",
		func(s *sqllock.Stats) int64 { return s.Freed }),
	counter("sqllock.heartbeat.failures", "{heartbeat}", "Heartbeats that failed.",
		func(s *sqllock.Stats) int64 { return s.HeartbeatFailures }),
	{"sqllock.reaped", "{row}", "What the reaper of this process has removed.", true, reaped},
}

// byKind reads a figure of each kind of lock, also where it is zero.
func byKind(of func(s *sqllock.Stats) map[sqllock.Kind]int) func(*sqllock.Stats, put) {
	return func(s *sqllock.Stats, put put) {
		for _, kind := range []sqllock.Kind{
			sqllock.KindLock, sqllock.KindRWLock, sqllock.KindSemaphore, sqllock.KindElection, sqllock.KindOnce,
			sqllock.KindQuorum, sqllock.KindSession,
		} {
			put(float64(of(s)[kind]), KeyKind.String(string(kind)))
		}
	}
}

func gauge(of func(s *sqllock.Stats) float64) func(*sqllock.Stats, put) {
	return func(s *sqllock.Stats, put put) { put(of(s)) }
}

// ifLease reads a figure that there is only if there was a lease lately.
func ifLease(of func(s *sqllock.Stats) time.Duration) func(*sqllock.Stats, put) {
	return func(s *sqllock.Stats, put put) {
		if s.LeaseTTL > 0 {
			put(of(s).Seconds())
		}
	}
}

func counter(name, unit, description string, of func(s *sqllock.Stats) int64) figure {
	return figure{name, unit, description, true, func(s *sqllock.Stats, put put) { put(float64(of(s))) }}
}

func reaped(s *sqllock.Stats, put put) {
	put(float64(s.Reaped.Leases), KeyWhat.String("leases"))
	put(float64(s.Reaped.Locks), KeyWhat.String("locks"))
	put(float64(s.Reaped.Purged), KeyWhat.String("rows"))
	put(float64(s.Reaped.Waiters), KeyWhat.String("waiters"))
	put(float64(s.Reaped.Outcomes), KeyWhat.String("outcomes"))
	put(float64(s.Reaped.Breaks), KeyWhat.String("breaks"))
}

// Watch adds metrics of the Client's [sqllock.Stats], which are read when metrics are collected.
// If the program lives on without the Client, it calls stop.
func (t *Tracer) Watch(c *sqllock.Client) (stop func() error, err error) {
	observables := make([]metric.Observable, len(figures))
	instruments := make([]metric.Float64Observable, len(figures))
	for i, f := range figures {
		if f.counter {
			instruments[i], err = t.meter.Float64ObservableCounter(f.name,
				metric.WithUnit(f.unit), metric.WithDescription(f.description))
		} else {
			instruments[i], err = t.meter.Float64ObservableGauge(f.name,
				metric.WithUnit(f.unit), metric.WithDescription(f.description))
		}
		if err != nil {
			return nil, fmt.Errorf("otellock: making the metric %s: %w", f.name, err)
		}
		observables[i] = instruments[i]
	}
	registration, err := t.meter.RegisterCallback(func(_ context.Context, to metric.Observer) error {
		s := c.Stats()
		for i, f := range figures {
			f.read(&s, func(value float64, attributes ...attribute.KeyValue) {
				to.ObserveFloat64(instruments[i], value, t.with(attributes...))
			})
		}
		return nil
	}, observables...)
	if err != nil {
		return nil, fmt.Errorf("otellock: registering the metrics: %w", err)
	}
	return registration.Unregister, nil
}
