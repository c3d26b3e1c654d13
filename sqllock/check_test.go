package sqllock_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
)

// checked is a database about which the engine has findings.
type checked struct {
	*sqllocktest.Dialect
	err error
}

func (d checked) Check(context.Context) ([]dialect.Finding, error) {
	return []dialect.Finding{{What: "mood", Found: "sunny", Verdict: dialect.VerdictGood}}, d.err
}

// generous grants every lock.
type generous struct{ *sqllocktest.Dialect }

func (d generous) Acquire(ctx context.Context, requests []dialect.Request) ([]dialect.Grant, error) {
	if grants, err := d.Dialect.Acquire(ctx, requests); err != nil || grants[0].Granted {
		return grants, err
	}
	return []dialect.Grant{{Granted: true, Fence: 1}}, nil
}

func verdicts(t *testing.T, c *sqllock.Client) (all []sqllock.Verdict) {
	t.Helper()
	findings, err := c.Check(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range findings {
		if f.What == "" || f.Found == "" || (f.Advice == "") != (f.Verdict == sqllock.VerdictGood) {
			t.Errorf("incomplete: %+v", f)
		}
		all = append(all, f.Verdict)
	}
	return all
}

func TestCheck(t *testing.T) {
	good, bad := sqllock.VerdictGood, sqllock.VerdictBad
	for name, test := range map[string]struct {
		of   func(*sqllocktest.Dialect) dialect.Dialect
		want []sqllock.Verdict // lease locks, session locks, the engine's own
	}{
		"fine": {
			func(db *sqllocktest.Dialect) dialect.Dialect { return checked{Dialect: db} },
			[]sqllock.Verdict{good, good, good},
		},
		"can't ask": {
			func(db *sqllocktest.Dialect) dialect.Dialect { return checked{db, errors.New("no")} },
			[]sqllock.Verdict{good, good, bad},
		},
		"two holders": {
			func(db *sqllocktest.Dialect) dialect.Dialect { return generous{db} },
			[]sqllock.Verdict{bad, good},
		},
		"stubs": {
			func(db *sqllocktest.Dialect) dialect.Dialect { return liar{db} },
			[]sqllock.Verdict{good, bad},
		},
		"no sessions": {
			func(db *sqllocktest.Dialect) dialect.Dialect { return leasesOnly{db} },
			[]sqllock.Verdict{good, sqllock.VerdictNotice},
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
				c := client(t, test.of(db), "a")
				if got := verdicts(t, c); !slices.Equal(got, test.want) {
					t.Errorf("verdicts %q; want %q", got, test.want)
				}
				for info, err := range c.Locks(t.Context()) {
					t.Errorf("left behind: %+v, %v", info, err)
				}
			})
		})
	}
}

func TestCheckBrokenOff(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		c := client(t, db, "a")
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := c.Check(ctx)
		wantErr(t, "Check", err, context.Canceled)
	})
}

func TestWithoutTables(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		db.FailNext(sqllocktest.OpProbe, 1, dialect.ClassNoSchema)
		c := client(t, db, "a", func(o *sqllock.Options) { o.WithoutTables = true })
		mustRelease(t, mustSession(t, c, "migrations"))
		_, err := c.TryAcquire(t.Context(), "job")
		wantErr(t, "a lease lock", err, sqllock.ErrUnsupported)
		if n := db.Calls(sqllocktest.OpCreateLease) + db.Calls(sqllocktest.OpAcquire); n != 0 {
			t.Errorf("the tables were asked for %d times", n)
		}
	})
}
