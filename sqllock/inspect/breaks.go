package inspect

import (
	"context"
	"time"

	"github.com/sqllock/sqllock/sqllock"
)

// Broken is a lock that was taken away from its holder.
type Broken struct {
	At     time.Time    `json:"at"`               // when that was, by the database's clock
	By     string       `json:"by,omitempty"`     // the person
	From   string       `json:"from,omitempty"`   // the process
	Reason string       `json:"reason,omitempty"` // why
	Kind   sqllock.Kind `json:"kind"`             // the kind of lock
	Shared bool         `json:"shared,omitempty"` // its holder was a reader of an RWLock
	Permit *int         `json:"permit,omitempty"` // of a semaphore
	Holder string       `json:"holder,omitempty"` // whose lock it was
	Note   string       `json:"note,omitempty"`   // of the holder
	Fence  int64        `json:"fence"`            // of the acquisition that was ended
	Since  time.Time    `json:"since"`            // when the holder had acquired it
}

// Lock returns what was taken away.
func (b Broken) Lock() Lock {
	return Lock{
		Kind: b.Kind, Shared: b.Shared, Permit: b.Permit, Holder: b.Holder, Note: b.Note, Fence: b.Fence,
		Since: b.Since,
	}
}

// ReadBroken reads which locks of the name were broken before. Where it can't, because the tables
// or the grants are older than this program, it says so in BrokenUnread: who holds the lock matters
// more. It returns an error if ctx has ended.
func (d *Details) ReadBroken(ctx context.Context, locks *sqllock.Client) error {
	breaks, err := locks.Breaks(ctx, d.Name)
	if err != nil {
		d.BrokenUnread = err.Error()
		return ctx.Err()
	}
	for _, b := range breaks {
		l := Of(sqllock.Info{Kind: b.Kind, Permit: b.Permit})
		d.Broken = append(d.Broken, Broken{
			At: b.At, By: b.By, From: b.From, Reason: b.Reason, Kind: b.Kind, Shared: b.Shared, Permit: l.Permit,
			Holder: b.Holder, Note: b.Note, Fence: b.Fence, Since: b.Since,
		})
	}
	return nil
}
