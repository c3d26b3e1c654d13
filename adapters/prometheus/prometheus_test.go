package prometheuslock_test

import (
	"context"
	"log/slog"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	prometheuslock "github.com/sqllock/sqllock/adapters/prometheus"
	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/election"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
)

// process returns a Client with its metrics, which are registered.
func process(
	t *testing.T, db *sqllocktest.Dialect, holder string, opts *prometheuslock.Options,
) (*sqllock.Client, *prometheuslock.Metrics, *prometheus.Registry) {
	t.Helper()
	m := prometheuslock.New(opts)
	quiet := slog.New(slog.DiscardHandler)
	c, err := sqllock.New(t.Context(), db, &sqllock.Options{Holder: holder, ReapEvery: -1, Logger: quiet, Tracer: m})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	m.Watch(c)
	registry := prometheus.NewPedanticRegistry() // it checks what is collected against what is described
	registry.MustRegister(m)
	return c, m, registry
}

// value returns the value of the one sample that has this beginning, and -1 if there is none.
func value(t *testing.T, registry prometheus.Gatherer, sample string) float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, metric := range f.GetMetric() {
			var labels []string
			for _, l := range metric.GetLabel() {
				labels = append(labels, l.GetName()+"="+l.GetValue())
			}
			if sample != f.GetName()+"{"+strings.Join(labels, ",")+"}" {
				continue
			}
			switch {
			case metric.GetHistogram() != nil:
				return float64(metric.GetHistogram().GetSampleCount())
			case metric.GetCounter() != nil:
				return metric.GetCounter().GetValue()
			}
			return metric.GetGauge().GetValue()
		}
	}
	return -1
}

func wantValues(t *testing.T, registry prometheus.Gatherer, when string, want map[string]float64) {
	t.Helper()
	for sample, want := range want {
		if got := value(t, registry, sample); got != want {
			t.Errorf("%s: %s is %g; want %g", when, sample, got, want)
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

// The metrics follow what the Client does, under the groups of the locks' names.
func TestMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := sqllocktest.New()
		c, _, registry := process(t, db, "a", nil)
		other, _, theirs := process(t, db, "b", nil)
		lock := must[*sqllock.Lock](t)(c.Acquire(t.Context(), "report/nightly"))
		term := must[*election.Term](t)(must[*election.Election](t)(election.New(c, "boss")).Campaign(t.Context()))
		done := make(chan error)
		go func() {
			_, err := other.Acquire(t.Context(), "report/nightly")
			done <- err
		}()
		time.Sleep(time.Minute)
		wantValues(t, registry, "while it is held", map[string]float64{
			`sqllock_held{kind=lock}`: 1, `sqllock_held{kind=election}`: 1, `sqllock_held{kind=session}`: 0,
			`sqllock_longest_hold_seconds{group=report,kind=lock}`: 60,
			`sqllock_leases{}`: 1, `sqllock_lease_ttl_seconds{}`: 15, `sqllock_leader{group=boss}`: 1,
			`sqllock_term{group=boss}`: float64(term.Number()), `sqllock_acquired_total{}`: 2,
			`sqllock_acquire_duration_seconds{group=report,kind=lock,mode=exclusive,outcome=acquired}`: 1,
			`sqllock_wait_duration_seconds{group=report,kind=lock,mode=exclusive,outcome=acquired}`:    -1,
			`sqllock_hold_duration_seconds{end=released,group=report,kind=lock,mode=exclusive}`:        -1,
		})
		wantValues(t, theirs, "while the other waits", map[string]float64{
			`sqllock_waiting{kind=lock}`: 1, `sqllock_longest_wait_seconds{group=report,kind=lock}`: 60,
		})
		if n := value(t, registry, `sqllock_heartbeat_duration_seconds{outcome=ok}`); n < 10 {
			t.Errorf("%g heartbeats in a minute", n)
		}
		if margin := value(t, registry, `sqllock_lease_margin_seconds{}`); margin < 8 || margin > 9 {
			t.Errorf("the margin is %g s of 15 s", margin)
		}
		if err := lock.Guard(t.Context(), nil); err != nil {
			t.Error(err)
		}
		if err := lock.Release(t.Context()); err != nil {
			t.Error(err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := term.Resign(t.Context()); err != nil {
			t.Error(err)
		}
		wantValues(t, registry, "afterwards", map[string]float64{
			`sqllock_held{kind=lock}`: 0, `sqllock_leader{group=boss}`: 0,
			`sqllock_longest_hold_seconds{group=report,kind=lock}`:                              0,
			`sqllock_hold_duration_seconds{end=released,group=report,kind=lock,mode=exclusive}`: 1,
			`sqllock_guard_duration_seconds{group=report,outcome=ok}`:                           1,
		})
		wantValues(t, theirs, "afterwards", map[string]float64{
			`sqllock_longest_wait_seconds{group=report,kind=lock}`:                                  0,
			`sqllock_wait_duration_seconds{group=report,kind=lock,mode=exclusive,outcome=acquired}`: 1,
		})

		db.Outage(true)
		time.Sleep(time.Minute)
		db.Outage(false)
		synctest.Wait()
		wantValues(t, theirs, "after an outage", map[string]float64{
			`sqllock_lost_total{}`: 1, `sqllock_lease_margin_seconds{}`: 0,
			`sqllock_hold_duration_seconds{end=lost,group=report,kind=lock,mode=exclusive}`: 1,
		})
		if failed := value(t, theirs, `sqllock_heartbeat_failures_total{}`); failed < 1 ||
			failed != value(t, theirs, `sqllock_heartbeat_duration_seconds{outcome=failed}`) {
			t.Errorf("%g heartbeats have failed", failed)
		}
	})
}

// What was registered beforehand is there with zero, and its names obey Prometheus's rules.
func TestPreregister(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, m, registry := process(t, sqllocktest.New(), "a", &prometheuslock.Options{MaxGroups: 2})
		m.Preregister(sqllock.KindElection, "boss")
		m.Preregister(sqllock.KindRWLock, "report", "one too many")
		wantValues(t, registry, "at first", map[string]float64{
			`sqllock_leader{group=boss}`: 0, `sqllock_lost_total{}`: 0,
			`sqllock_acquire_duration_seconds{group=report,kind=rwlock,mode=shared,outcome=gave_up}`:     0,
			`sqllock_wait_duration_seconds{group=report,kind=rwlock,mode=exclusive,outcome=acquired}`:    0,
			`sqllock_hold_duration_seconds{end=lost,group=other,kind=rwlock,mode=shared}`:                0,
			`sqllock_longest_wait_seconds{group=report,kind=rwlock}`:                                     0,
			`sqllock_acquire_duration_seconds{group=boss,kind=election,mode=exclusive,outcome=acquired}`: 0,
		})
		problems, err := testutil.GatherAndLint(registry)
		if err != nil || len(problems) > 0 {
			t.Errorf("%v, %v", problems, err)
		}
	})
}

// A name never becomes a label, unless the caller's own function says so.
func TestNamesAreNoLabels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, opts := range map[string]*prometheuslock.Options{
			`customer-*`: nil,
			`mine`:       {NameGroup: func(string) string { return "mine" }},
		} {
			c, _, registry := process(t, sqllocktest.New(), "a", opts)
			for _, id := range []string{"customer-17", "customer-18"} {
				if err := must[*sqllock.Lock](t)(c.Acquire(t.Context(), id)).Release(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			wantValues(t, registry, name, map[string]float64{
				`sqllock_hold_duration_seconds{end=released,group=` + name + `,kind=lock,mode=exclusive}`: 2,
			})
			families, err := registry.Gather()
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range families {
				if strings.Contains(f.String(), "customer-1") {
					t.Errorf("a name is a label: %s", f)
				}
			}
		}
	})
}

// Every metric that the rules and the board name exists.
func TestRulesAndBoardNameMetricsThatExist(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, m, registry := process(t, sqllocktest.New(), "a", nil)
		m.Preregister(sqllock.KindElection, "boss")
		_ = must[*election.Term](t)(must[*election.Election](t)(election.New(c, "boss")).Campaign(t.Context()))
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		var known []string
		for _, f := range families {
			known = append(known, f.GetName())
			if f.GetType().String() == "HISTOGRAM" {
				known = append(known, f.GetName()+"_bucket", f.GetName()+"_count", f.GetName()+"_sum")
			}
		}
		for _, file := range []string{"alerts.yml", "alerts_test.yml", "grafana.json"} {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			names := regexp.MustCompile(`sqllock_[a-z_]+`).FindAllString(string(text), -1)
			if len(names) < 8 {
				t.Errorf("%s names %d metrics; there are more, so the search is broken", file, len(names))
			}
			for _, name := range names {
				if !slices.Contains(known, name) {
					t.Errorf("%s: there is no metric %s", file, name)
				}
			}
		}
	})
}
