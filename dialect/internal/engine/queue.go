package engine

import (
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// ScanWaiting reads name, slot, ticket, owner, lease_id, the lease's holder, note, since (in
// microseconds since 1970) and holds of a waiter.
func ScanWaiting(rows dialect.Rows, w *dialect.Waiting) error {
	var since int64
	err := rows.Scan(&w.Name, &w.Slot, &w.Ticket, &w.Owner, &w.LeaseID, &w.Holder, &w.Note, &since, &w.Holds)
	w.Since = time.UnixMicro(since).UTC()
	return err
}
