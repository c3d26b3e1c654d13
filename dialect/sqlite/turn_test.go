package sqlite

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// TestWritersQueue: a writer that has waited for its turn in vain has asked nothing of the database, and a heartbeat
// waits for nobody.
func TestWritersQueue(t *testing.T) {
	t.Parallel()
	db := open(t, filepath.Join(t.TempDir(), "locks.db"))
	migrate(t, db)
	d := New(db)
	lease := dialect.Lease{ID: "lease", Holder: "test", TTL: time.Hour}
	if err := d.CreateLease(t.Context(), lease); err != nil {
		t.Fatal(err)
	}
	request := []dialect.Request{{Key: dialect.Key{Name: "job"}, LeaseID: lease.ID, Owner: "me"}}

	d.line <- struct{}{} // somebody writes
	if alive, err := d.RenewLeases(t.Context(), []string{lease.ID}); err != nil || !alive[0] {
		t.Errorf("heartbeat: %v, %v; want true", alive, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := d.Acquire(ctx, request); err == nil || d.Classify(err) != dialect.Transient {
		t.Errorf("out of turn: %v (class %s); want a transient error", err, d.Classify(err))
	}
	<-d.line
	if grants, err := d.Acquire(t.Context(), request); err != nil || !grants[0].Granted {
		t.Errorf("in turn: %v, %v; want it granted", grants, err)
	}
}
