package integration

import (
	"context"
	"database/sql"
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
)

// plainURL returns the URL with the scheme that chooses the plain flavour of PostgreSQL's dialect,
// and the tables for it, on any server.
func plainURL(url string) string { return "cockroachdb" + strings.TrimPrefix(url, "postgres") }

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
