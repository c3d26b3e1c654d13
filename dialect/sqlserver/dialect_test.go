package sqlserver

import (
	"database/sql"
	"testing"

	"github.com/sqllock/sqllock/dialect/internal/enginetest"
)

func TestNilDB(t *testing.T) { enginetest.NilDB(t, New(nil)) }

func TestProbeRefusesOneConnection(t *testing.T) {
	enginetest.OneConnection(t, func(db *sql.DB) *Dialect { return New(db) })
}

// A server with ANSI_WARNINGS off would silently truncate these.
func TestTexts(t *testing.T) { enginetest.Texts(t, texts, "😀") } // the server counts it as two

func TestProduct(t *testing.T) {
	for banner, want := range map[string]string{
		"Microsoft SQL Server 2022 (RTM-CU12) (KB5033663) - 16.0.4115.5 (X64)":         "SQL Server",
		"Microsoft SQL Azure (RTM) - 12.0.2000.8":                                      "Microsoft SQL Azure",
		"Babelfish for PostgreSQL with SQL Server Compatibility - 12.0.2000.8\nNov 25": "Babelfish",
		"": "SQL Server",
	} {
		if got := product(banner); got != want {
			t.Errorf("product(%q) = %q, want %q", banner, got, want)
		}
	}
}
