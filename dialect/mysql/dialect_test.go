package mysql

import (
	"database/sql"
	"testing"

	"github.com/sqllock/sqllock/dialect/internal/enginetest"
)

func TestNilDB(t *testing.T) {
	d := New(nil)
	enginetest.NilDB(t, d)
	if err := d.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

func TestProbeRefusesOneConnection(t *testing.T) {
	enginetest.OneConnection(t, func(db *sql.DB) *Dialect { return New(db) })
}

// A server without strict mode would silently truncate these.
func TestTexts(t *testing.T) { enginetest.Texts(t, texts, "é") }
