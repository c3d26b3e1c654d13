package prometheuslock

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sqllock/sqllock/sqllock"
)

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

// What is read when it is collected.
var (
	held    = describe("sqllock_held", "Locks that are held now.", "kind")
	waiters = describe("sqllock_waiting",
		"Callers that wait for a lock now, or whose acquisition is in progress.", "kind")

	longestHold = describe("sqllock_longest_hold_seconds",
		"For how long the oldest of the locks that are held now has been held.", "kind", "group")
	longestWait = describe("sqllock_longest_wait_seconds",
		"For how long the oldest of the callers that wait now has waited.", "kind", "group")

	leases = describe("sqllock_leases", "Open leases, and connections for session locks.")
	margin = describe("sqllock_lease_margin_seconds",
		"The least time that was left of a lease within the last minute or two, before all locks under it are lost.")
	ttl = describe("sqllock_lease_ttl_seconds", "The TTL of the lease that sqllock_lease_margin_seconds is about.")
	age = describe("sqllock_last_answer_seconds", "How long ago the database last answered.")

	acquired      = describe("sqllock_acquired_total", "Locks that were granted.")
	lost          = describe("sqllock_lost_total", "Locks that were lost or broken while they were held.")
	guardsRefused = describe("sqllock_guard_refused_total", "Guards that refused because the lock was lost.")
	deadlocks     = describe("sqllock_deadlocks_total", "Acquisitions that ended with a deadlock.")
	breaks        = describe("sqllock_breaks_total", "Locks that this process took away from their holders.")
	freed         = describe("sqllock_freed_total",
		"Locks of dead holders that acquisitions of this process have freed.")
	failures = describe("sqllock_heartbeat_failures_total", "Heartbeats that failed.")
	reaped   = describe("sqllock_reaped_total", "What the reaper of this process has removed.", "what")

	described = []*prometheus.Desc{
		held, waiters, longestHold, longestWait, leases, margin, ttl, age,
		acquired, lost, guardsRefused, deadlocks, breaks, freed, failures, reaped,
	}
)

// Describe implements [prometheus.Collector].
func (m *Metrics) Describe(descs chan<- *prometheus.Desc) {
	for _, c := range m.vectors() {
		c.Describe(descs)
	}
	for _, d := range described {
		descs <- d
	}
}

// vectors returns the metrics that events change.
func (m *Metrics) vectors() []prometheus.Collector {
	return []prometheus.Collector{m.acquires, m.waits, m.holds, m.heartbeats, m.guards, m.leaders, m.terms}
}

// Collect implements [prometheus.Collector].
func (m *Metrics) Collect(metrics chan<- prometheus.Metric) {
	for _, c := range m.vectors() {
		c.Collect(metrics)
	}
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		metrics <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	counter := func(d *prometheus.Desc, value int64, labels ...string) {
		metrics <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(value), labels...)
	}
	for of, longest := range m.longest() {
		d := longestHold
		if of.what == waiting {
			d = longestWait
		}
		gauge(d, longest.Seconds(), of.kind, of.group)
	}
	m.mu.Lock()
	client := m.client
	m.mu.Unlock()
	if client == nil {
		return
	}
	all := client.Stats()
	for _, kind := range kinds {
		gauge(held, float64(all.Held[kind]), string(kind))
		gauge(waiters, float64(all.Waiting[kind]), string(kind))
	}
	gauge(leases, float64(all.Leases))
	if all.LeaseTTL > 0 {
		gauge(margin, all.LeaseMargin.Seconds())
		gauge(ttl, all.LeaseTTL.Seconds())
	}
	if !all.LastAnswer.IsZero() {
		gauge(age, time.Since(all.LastAnswer).Seconds())
	}
	for d, n := range map[*prometheus.Desc]int64{
		acquired: all.Acquired, lost: all.Lost, guardsRefused: all.GuardsRefused, deadlocks: all.Deadlocks,
		breaks: all.Breaks, freed: all.Freed, failures: all.HeartbeatFailures,
	} {
		counter(d, n)
	}
	for what, n := range map[string]int{
		"leases": all.Reaped.Leases, "locks": all.Reaped.Locks, "rows": all.Reaped.Purged,
		"waiters": all.Reaped.Waiters, "outcomes": all.Reaped.Outcomes, "breaks": all.Reaped.Breaks,
	} {
		counter(reaped, int64(n), what)
	}
}

// kinds are the kinds of locks that a program takes.
var kinds = []sqllock.Kind{
	sqllock.KindLock, sqllock.KindRWLock, sqllock.KindSemaphore, sqllock.KindElection, sqllock.KindOnce,
	sqllock.KindQuorum, sqllock.KindSession,
}
