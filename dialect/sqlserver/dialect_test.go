package sqlserver

import (
	"context"
	"database/sql"
	"errors"
	"testing"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/internal/engine"
	"github.com/sqllock/sqllock/dialect/internal/enginetest"
)

func TestNilDB(t *testing.T) { enginetest.NilDB(t, New(nil)) }

func TestProbeRefusesOneConnection(t *testing.T) {
	enginetest.OneConnection(t, func(db *sql.DB) *Dialect { return New(db) })
}

// A server with ANSI_WARNINGS off would silently truncate these.
func TestTexts(t *testing.T) { enginetest.Texts(t, texts, "😀") } // the server counts it as two

// frozen is a server that never confirms that a statement was canceled.
type frozen struct{ engine.NoDB }

func (frozen) Query(context.Context, string, ...any) (dialect.Rows, error) { select {} }

func TestCallersLeaveAFrozenServer(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	_, err := query(ctx, leaving{frozen{}}, engine.One[int64], "SELECT 1")
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("query of a frozen server: %v; want DeadlineExceeded", err)
	}
}

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
