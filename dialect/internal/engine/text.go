package engine

import (
	"errors"
	"fmt"
	"math"
	"unicode/utf8"

	"github.com/sqllock/sqllock/dialect"
)

// Texts checks values for the columns of an engine whose server may silently truncate what is too
// long, or store something else for what isn't UTF-8.
type Texts struct {
	Length func(text string) int // in the server's units
}

// Check refuses a text that doesn't fit.
func (t Texts) Check(what, text string, most int) error {
	if !utf8.ValidString(text) {
		return fmt.Errorf("%w: the %s %q is not UTF-8", dialect.ErrInvalid, what, text)
	}
	if n := t.Length(text); n > most {
		return fmt.Errorf("%w: the %s has %d characters, at most %d can be stored", dialect.ErrInvalid, what, n, most)
	}
	return nil
}

// CheckLease refuses a lease that doesn't fit.
func (t Texts) CheckLease(lease dialect.Lease) error {
	return errors.Join(t.Check("lease's id", lease.ID, dialect.MaxLeaseID), t.Check("holder", lease.Holder, 255))
}

// CheckRequest refuses a request that doesn't fit.
func (t Texts) CheckRequest(r dialect.Request) error {
	var slot error
	if r.Slot < 0 || r.Slot > math.MaxInt32 {
		slot = fmt.Errorf("%w: slot %d is not from 0 to %d", dialect.ErrInvalid, r.Slot, math.MaxInt32)
	}
	return errors.Join(slot, t.Check("name", r.Name, 255), t.Check("note", r.Note, 255),
		t.Check("lease's id", r.LeaseID, 64), t.Check("owner", r.Owner, 64))
}

// CheckWaiter refuses a waiter that doesn't fit.
func (t Texts) CheckWaiter(w dialect.Waiter) error {
	return errors.Join(t.CheckRequest(w.Request), t.Check("list of what it holds", w.Holds, math.MaxInt32))
}
