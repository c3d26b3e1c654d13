package sqllock_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
)

func TestRunOccurrence(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a, b := client(t, db, "a"), client(t, db, "b")
		at := time.Date(2026, 3, 1, 2, 0, 0, 0, time.UTC)
		elsewhere := at.In(time.FixedZone("", 3600))
		runs, broken := 0, error(nil)
		run := func(context.Context, *sqllock.Lock) error { runs++; return broken }
		want := func(what string, ran bool, err error, wantRan bool, is error) {
			t.Helper()
			if ran != wantRan || !errors.Is(err, is) {
				t.Errorf("%s: %t, %v; want %t, %v", what, ran, err, wantRan, is)
			}
		}

		ran, err := a.RunOccurrence(t.Context(), "payout", at, func(context.Context, *sqllock.Lock) error {
			began := time.Now()
			ran, err := b.RunOccurrence(t.Context(), "payout", elsewhere, run)
			want("while it runs", ran, err, false, sqllock.ErrNotAcquired)
			if took := time.Since(began); took > 0 {
				t.Errorf("it waited %s", took)
			}
			return errBroken
		})
		want("the first, which fails", ran, err, true, errBroken)
		ran, err = b.RunOccurrence(t.Context(), "payout", elsewhere, run)
		want("the second", ran, err, true, nil)
		ran, err = a.RunOccurrence(t.Context(), "payout", at, run)
		want("the first again", ran, err, false, nil)
		ran, err = a.RunOccurrence(t.Context(), "payout", at.Add(time.Nanosecond), run)
		want("the next", ran, err, true, nil)
		ran, err = a.RunOccurrence(t.Context(), "other", at, run)
		want("another job", ran, err, true, nil)
		if runs != 3 {
			t.Errorf("ran %d times, want 3", runs)
		}
		out, err := a.Once(t.Context(), "payout@2026-03-01T02:00:00Z", mustNotRun(t))
		wantOutcome(t, out, err, "", true)

		broken = errBroken
		ran, err = a.RunOccurrence(t.Context(), "failing", at, run, sqllock.RememberFailure())
		want("for good", ran, err, true, errBroken)
		ran, err = b.RunOccurrence(t.Context(), "failing", at, run)
		want("for good", ran, err, false, sqllock.ErrFailedBefore)
	})
}

func TestRunOccurrenceRefused(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		c := client(t, db, "a")
		run := func(context.Context, *sqllock.Lock) error { return nil }
		at := time.Date(2026, 3, 1, 2, 0, 0, 123456789, time.UTC)
		long := strings.Repeat("j", sqllock.MaxJobBytes)
		if ran, err := c.RunOccurrence(t.Context(), long, at, run); !ran || err != nil {
			t.Errorf("the longest job: %t, %v", ran, err)
		}
		for what, test := range map[string]struct {
			job string
			at  time.Time
			fn  func(context.Context, *sqllock.Lock) error
		}{
			"a longer job": {long + "j", at, run},
			"no job":       {"", at, run},
			"an odd job":   {"a\x00", at, run},
			"no time":      {"job", time.Time{}, run},
			"far off":      {"job", at.AddDate(10_000, 0, 0), run},
			"long ago":     {"job", at.AddDate(-3000, 0, 0), run},
			"no function":  {"job", at, nil},
		} {
			ran, err := c.RunOccurrence(t.Context(), test.job, test.at, test.fn)
			if ran {
				t.Errorf("%s: it ran", what)
			}
			wantErr(t, what, err, sqllock.ErrInvalid)
		}
	})
}
