package integration

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/dialecttest"
	"github.com/sqllock/sqllock/dialect/postgres"
	"github.com/sqllock/sqllock/integration/servers"
	"github.com/sqllock/sqllock/open"
	"github.com/sqllock/sqllock/sqllock"
)

// leasesAndCheck hides the optional interfaces that the plain flavour refuses.
type leasesAndCheck struct {
	dialect.Dialect
	dialect.Checker
}

func newPlain(db *sql.DB) dialect.Dialect {
	d := postgres.New(db, postgres.Plain())
	return leasesAndCheck{d, d}
}

// TestPlainConformance runs the whole suite on the plain flavour, and then looks at what was sent.
func TestPlainConformance(t *testing.T) {
	t.Parallel()
	s := servers.Start(t, "postgres15")
	sent := &sentTexts{texts: make(map[string]bool)}
	t.Run("suite", func(t *testing.T) {
		dialecttest.Run(t, func(t *testing.T) dialecttest.Harness { return plainHarness(t, s, sent) })
	})
	sent.check(t)
}

func plainHarness(t *testing.T, s *servers.Server, sent *sentTexts) dialecttest.Harness {
	t.Helper()
	var url string
	h := harnessThrough(t, s, func(_ *testing.T, past string) string { url = past; return past })
	h.DB = sent.open(t, url)
	h.DB.SetMaxIdleConns(20)
	h.Dialect, h.New = newPlain(h.DB), newPlain
	h.Open = func(t *testing.T) *sql.DB { return sent.open(t, url) }
	h.Powers, h.EndSessions = dialecttest.Powers{Check: true}, nil
	h.ExclusiveGuards = true
	return h
}

// sentTexts collects the statements that are sent. It is a tracer of pgx.
type sentTexts struct {
	mu    sync.Mutex
	texts map[string]bool
}

// open returns a pool whose statements are collected.
func (s *sentTexts) open(t *testing.T, url string) *sql.DB {
	t.Helper()
	config, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	config.Tracer = s
	db := stdlib.OpenDB(*config)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// TraceQueryStart implements [pgx.QueryTracer].
func (s *sentTexts) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.texts[data.SQL] = true
	return ctx
}

// TraceQueryEnd implements [pgx.QueryTracer].
func (s *sentTexts) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

var (
	// notPlain is what CockroachDB or YugabyteDB lacks, or has and doesn't do.
	notPlain = regexp.MustCompile(`(?i)\b(ctid|xmin|\w*notify|listen|\w*advisory\w*|for\s+(key\s+)?share)\b`)

	mutation = regexp.MustCompile(`(?i)\b(?:INSERT\s+INTO|UPDATE|DELETE\s+FROM)\s+(sqllock_\w+)`)
)

// check checks that no statement has what the plain flavour must not use, and that each changes a
// table at most once.
func (s *sentTexts) check(t *testing.T) {
	t.Helper()
	locks := 0
	for text := range s.texts {
		if found := notPlain.FindString(text); found != "" {
			t.Errorf("%q must not be sent: %s", found, text)
		}
		changed := make(map[string]bool)
		for _, table := range mutation.FindAllStringSubmatch(text, -1) {
			if changed[table[1]] {
				t.Errorf("changes %s twice: %s", table[1], text)
			}
			changed[table[1]] = true
		}
		if changed["sqllock_locks"] {
			locks++
		}
	}
	if locks < 12 { // there are 13 in the dialect
		t.Errorf("only %d statements were seen that change sqllock_locks", locks)
	}
}

// TestPlainLedger lets goroutines of three Clients compete for two locks and write a ledger in
// guarded transactions. Two Clients use the plain flavour, and one the other. Every transaction is
// SERIALIZABLE, as by default on CockroachDB, so statements also fail with 40001 by themselves.
func TestPlainLedger(t *testing.T) {
	t.Parallel()
	const clients, routines, jobs, accounts = 3, 4, 10, 2
	url := database(t, servers.Start(t, "postgres15"))
	config, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	config.RuntimeParams["default_transaction_isolation"] = "serializable"
	var group sync.WaitGroup
	for worker := range int64(clients) {
		db := stdlib.OpenDB(*config)
		t.Cleanup(func() { _ = db.Close() })
		d := postgres.New(db, postgres.Plain())
		if worker == 0 {
			d = postgres.New(db)
		}
		c := client(t, &open.Database{Dialect: d, DB: db}, sqllock.Options{})
		for routine := range int64(routines) {
			group.Go(func() {
				for job := range int64(jobs) {
					e := entry{Account: job % accounts, Worker: worker, Routine: routine, Job: job + 1}
					if err := writePlain(t.Context(), c, d, db, e); err != nil {
						t.Errorf("worker %d, routine %d, job %d: %v", worker, routine, job, err)
						return
					}
				}
			})
		}
	}
	group.Wait()
	last := make(map[int64]entry)
	lines := readLedger(t, connect(t, url).DB)
	for _, e := range lines {
		before := last[e.Account]
		if e.Line != before.Line+1 || e.Balance != before.Balance+e.Job || e.Fence <= before.Fence {
			t.Errorf("after %+v comes %+v", before, e)
		}
		last[e.Account] = e
	}
	if len(lines) != clients*routines*jobs {
		t.Errorf("there are %d lines, and %d jobs were done", len(lines), clients*routines*jobs)
	}
}

// writePlain does a job under its account's lock. It does it again while the database refuses the
// transaction because of another one.
func writePlain(ctx context.Context, c *sqllock.Client, d *postgres.Dialect, db *sql.DB, e entry) error {
	for {
		lock, err := c.Acquire(ctx, fmt.Sprint("account ", e.Account))
		if err != nil {
			return err
		}
		e.Fence = lock.Fence()
		err = e.write(ctx, db, lock)
		if released := lock.Release(ctx); released != nil {
			return errors.Join(err, released)
		}
		if err == nil || d.Classify(err) != dialect.ClassTransient && !errors.Is(err, sqllock.ErrRetryTx) {
			return err
		}
	}
}

// TestPlainRefuses checks that the plain flavour refuses session and transaction locks, and that
// the reason says what to use instead.
func TestPlainRefuses(t *testing.T) {
	t.Parallel()
	target := connect(t, database(t, servers.Start(t, "postgres15")))
	d := postgres.New(target.DB, postgres.Plain())
	refused := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, dialect.ErrUnsupported) || d.Classify(err) != dialect.ClassPermanent {
			t.Errorf("%s: %v (class %s)", what, err, d.Classify(err))
		}
	}
	_, err := d.OpenSession(t.Context(), dialect.SessionOptions{})
	refused("a session", err)
	_, err = d.OpenListener(t.Context(), "holder")
	refused("a listener", err)
	tx, err := target.DB.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	_, err = d.LockTx(t.Context(), dialect.SQL(tx), dialect.ServerLock{Name: "lock"}, false)
	refused("a transaction lock", err)
	if err == nil || !strings.Contains(err.Error(), "use a lease lock") {
		t.Errorf("the error doesn't say what to use: %v", err)
	}
}
