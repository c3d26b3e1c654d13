package mysql

import (
	"database/sql"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/internal/enginetest"
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

// A server without strict mode would cut these and go on.
func TestCheckRequest(t *testing.T) {
	good := dialect.Request{Key: dialect.Key{Name: strings.Repeat("é", 255)}, LeaseID: "l", Owner: "o", Note: strings.Repeat("é", 255)}
	if err := checkRequest(good); err != nil {
		t.Errorf("refused: %v", err)
	}
	for what, spoil := range map[string]func(*dialect.Request){
		"name":       func(r *dialect.Request) { r.Name += "x" },
		"note":       func(r *dialect.Request) { r.Note += "x" },
		"owner":      func(r *dialect.Request) { r.Owner = strings.Repeat("o", 65) },
		"lease's id": func(r *dialect.Request) { r.LeaseID = "\xff" },
		"slot -1":    func(r *dialect.Request) { r.Slot = -1 },
		"slot 2":     func(r *dialect.Request) { r.Slot = math.MaxInt32 + 1 },
	} {
		bad := good
		spoil(&bad)
		if err := checkRequest(bad); !errors.Is(err, dialect.ErrInvalid) || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
