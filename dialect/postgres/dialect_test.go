package postgres

import (
	"database/sql"
	"testing"

	"github.com/sqllock/sqllock/dialect/internal/enginetest"
)

func TestNilDB(t *testing.T) { enginetest.NilDB(t, New(nil)) }

func TestProbeRefusesOneConnection(t *testing.T) {
	enginetest.OneConnection(t, func(db *sql.DB) *Dialect { return New(db) })
}

func TestArray(t *testing.T) {
	for want, texts := range map[string][]string{
		`{}`:               nil,
		`{""}`:             {""},
		`{"a","b c"}`:      {"a", "b c"},
		`{"NULL","{x,y}"}`: {"NULL", "{x,y}"},
		`{"\"q\"","\\n'"}`: {`"q"`, `\n'`},
	} {
		if got := array(texts); got != want {
			t.Errorf("array(%q) = %s, want %s", texts, got, want)
		}
	}
}

func TestProduct(t *testing.T) {
	for _, c := range []struct{ banner, number, name, version string }{
		{
			"PostgreSQL 15.18 (Debian 15.18-0+deb12u1) on x86_64", "15.18 (Debian 15.18-0+deb12u1)",
			"PostgreSQL", "15.18",
		},
		{"PostgreSQL 18.4 on x86_64-pc-linux-gnu", "18.4", "PostgreSQL", "18.4"},
		{"CockroachDB CCL v24.1.0 (x86_64-pc-linux-gnu)", "13.0.0", "CockroachDB", "24.1.0"},
		{"CockroachDB", "13.0.0", "CockroachDB", "13.0.0"},
		{"PostgreSQL 11.2-YB-2.20.1.0-b0 on x86_64", "11.2-YB-2.20.1.0-b0", "YugabyteDB", "11.2-YB-2.20.1.0-b0"},
		{"", "", "PostgreSQL", ""},
	} {
		if name, version := product(c.banner, c.number); name != c.name || version != c.version {
			t.Errorf("product(%q, %q) = %q, %q", c.banner, c.number, name, version)
		}
		if got, want := distributed(c.banner), c.name != postgreSQL; got != want {
			t.Errorf("distributed(%q) = %t", c.banner, got)
		}
	}
}
