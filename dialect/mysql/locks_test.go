package mysql

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// Names for GET_LOCK are short, in one case, and different for any two locks and from those of
// earlier versions.
func TestLockName(t *testing.T) {
	seen := make(map[string]string)
	for _, parts := range [][3]string{
		{"session", "app", "n"},
		{"session", "app", "N"},
		{"session", "App", "n"},
		{"session", "appn", ""},
		{"other", "app", "n"},
		{"session", "app", strings.Repeat("é", 127)},
	} {
		name := lockName(parts[0], parts[1], parts[2])
		if len(name) != 64 || name != strings.ToLower(name) || !strings.HasPrefix(name, "sqllock:") {
			t.Errorf("%q: %s", parts, name)
		}
		if other, ok := seen[name]; ok {
			t.Errorf("%q and %s are both %s", parts, other, name)
		}
		seen[name] = strings.Join(parts[:], "|")
	}
	const before = "sqllock:c097b1f3b2b5dbc1edda3016b6fa64864b7b8edb5d631c900c797331"
	if got := lockName("session", "app", "n"); got != before {
		t.Errorf("%s: processes of the version before, which say %s, would hold another lock", got, before)
	}
}

func TestSeconds(t *testing.T) {
	for idle, want := range map[time.Duration]int64{
		1: 2, time.Second: 2, 1500 * time.Millisecond: 3, time.Minute: 61,
		100 * 365 * 24 * time.Hour: 31_536_000, 1<<63 - 1: 31_536_000,
	} {
		if got := seconds(idle); got != want {
			t.Errorf("seconds(%s) = %d, want %d", idle, got, want)
		}
	}
}

func TestLiteral(t *testing.T) {
	for text, want := range map[string]string{
		"": "_utf8mb4 x''", "a'b": "_utf8mb4 x'612762'", "\xff": "_utf8mb4 x'3f'",
	} {
		if got := literal(text); got != want {
			t.Errorf("literal(%q) = %s, want %s", text, got, want)
		}
	}
}

// The memory of rows expires, and is bounded.
func TestRows(t *testing.T) {
	var r rows
	if r.has("a") {
		t.Error("knows a row that was never added")
	}
	now := time.Now()
	r.add("a", sighted{now, time.Minute})
	r.add("old", sighted{now.Add(-2 * time.Minute), time.Minute})
	// the machine was suspended
	r.add("slept", sighted{now.Round(0).Add(-2 * time.Minute), time.Minute})
	if !r.has("a") || r.has("old") || r.has("slept") {
		t.Errorf("%t, %t, %t", r.has("a"), r.has("old"), r.has("slept"))
	}
	r.forget("a")
	if r.has("a") {
		t.Error("not forgotten")
	}
	for i := range 3 * mostRows {
		r.add(strings.Repeat("x", i%200)+string(rune('a'+i%26))+time.Duration(i).String(), sighted{now, time.Minute})
	}
	if len(r.seen) > mostRows {
		t.Errorf("it remembers %d rows", len(r.seen))
	}
}

// Each server's own words. NOWAIT is used only where it undoes no more than its statement.
func TestRowLockStatements(t *testing.T) {
	my, maria := rowLock{}, rowLock{flavour: flavour{maria: true}}
	my.Shared = true
	for got, want := range map[string]string{
		my.statement(" NOWAIT"): "FOR SHARE NOWAIT",
		maria.statement(""):     "FOR UPDATE",

		my.atMost(1500*time.Millisecond, my.statement("")):       "SELECT /*+ MAX_EXECUTION_TIME(1500) */ 1",
		maria.atMost(1500*time.Microsecond, maria.statement("")): "SET STATEMENT max_statement_time = 0.002,",

		maria.atMost(1050*time.Millisecond, maria.statement("")):                        "max_statement_time = 1.050,",
		rowLock{flavour: maria.flavour, ServerLock: my.ServerLock}.statement(" NOWAIT"): "LOCK IN SHARE MODE NOWAIT",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%s: want %s", got, want)
		}
	}
}

func TestMayLock(t *testing.T) {
	if err := (flavour{}).mayLock("x"); err != nil {
		t.Error(err)
	}
	err := flavour{cluster: "one node of a Galera cluster"}.mayLock("GET_LOCK")
	if !errors.Is(err, dialect.ErrUnsupported) || !strings.Contains(err.Error(), "GET_LOCK is local to one node") {
		t.Error(err)
	}
}

func TestVariables(t *testing.T) {
	for _, c := range []struct {
		v       variables
		what    string
		verdict dialect.Verdict
	}{
		{variables{"transaction_isolation": "READ-UNCOMMITTED"}, "default isolation level", dialect.VerdictNotice},
		{variables{"tx_isolation": "REPEATABLE-READ"}, "default isolation level", dialect.VerdictGood},
		{variables{"wait_timeout": "30"}, "wait_timeout", dialect.VerdictNotice},
		{variables{"wait_timeout": "28800"}, "wait_timeout", dialect.VerdictGood},
		{variables{"log_bin": "ON", "binlog_format": "STATEMENT"}, "binary log", dialect.VerdictNotice},
		{variables{"log_bin": "ON", "binlog_format": "ROW"}, "binary log", dialect.VerdictGood},
		{variables{"log_bin": "OFF", "binlog_format": "STATEMENT"}, "binary log", dialect.VerdictGood},
		{
			variables{"max_prepared_stmt_count": "1000", "Prepared_stmt_count": "900"},
			"max_prepared_stmt_count",
			dialect.VerdictNotice,
		},
		{
			variables{"max_prepared_stmt_count": "1000", "Prepared_stmt_count": "100"},
			"max_prepared_stmt_count",
			dialect.VerdictGood,
		},
	} {
		for _, f := range c.v.findings(10) {
			if f.What == c.what && (f.Verdict != c.verdict || (f.Verdict == dialect.VerdictGood) != (f.Advice == "")) {
				t.Errorf("%v: %+v, want %s", c.v, f, c.verdict)
			}
		}
	}
}
