package once_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/once"
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

		ran, err := once.RunOccurrence(t.Context(), a, "payout", at, func(context.Context, *sqllock.Lock) error {
			began := time.Now()
			ran, err := once.RunOccurrence(t.Context(), b, "payout", elsewhere, run)
			want("while it runs", ran, err, false, sqllock.ErrNotAcquired)
			if took := time.Since(began); took > 0 {
				t.Errorf("it waited %s", took)
			}
			return errBroken
		})
		want("the first, which fails", ran, err, true, errBroken)
		ran, err = once.RunOccurrence(t.Context(), b, "payout", elsewhere, run)
		want("the second", ran, err, true, nil)
		ran, err = once.RunOccurrence(t.Context(), a, "payout", at, run)
		want("the first again", ran, err, false, nil)
		ran, err = once.RunOccurrence(t.Context(), a, "payout", at.Add(time.Nanosecond), run)
		want("the next", ran, err, true, nil)
		ran, err = once.RunOccurrence(t.Context(), a, "other", at, run)
		want("another job", ran, err, true, nil)
		if runs != 3 {
			t.Errorf("ran %d times, want 3", runs)
		}
		out, err := once.Do(t.Context(), a, "payout@2026-03-01T02:00:00Z", mustNotRun(t))
		wantOutcome(t, out, err, "", true)

		broken = errBroken
		ran, err = once.RunOccurrence(t.Context(), a, "failing", at, run, once.RememberFailure())
		want("for good", ran, err, true, errBroken)
		ran, err = once.RunOccurrence(t.Context(), b, "failing", at, run)
		want("for good", ran, err, false, once.ErrFailedBefore)
	})
}

func TestRunOccurrenceRefused(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		c := client(t, db, "a")
		run := func(context.Context, *sqllock.Lock) error { return nil }
		at := time.Date(2026, 3, 1, 2, 0, 0, 123456789, time.UTC)
		long := strings.Repeat("j", once.MaxJobBytes)
		if ran, err := once.RunOccurrence(t.Context(), c, long, at, run); !ran || err != nil {
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
			ran, err := once.RunOccurrence(t.Context(), c, test.job, test.at, test.fn)
			if ran {
				t.Errorf("%s: it ran", what)
			}
			wantErr(t, what, err, sqllock.ErrInvalid)
		}
	})
}
