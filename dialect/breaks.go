package dialect

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// Breaks are the rows of sqllock_breaks: which locks a person has taken away from their holders,
// and why. A row never changes.
type Breaks interface {
	// Break does what Release does with a single claim, hand-over included, and writes a row that
	// says so, in one transaction: there is never a break without its row, nor a row without its
	// break. A result of false means that the lock doesn't name the owner, and nothing was changed.
	// A Break that is repeated after its reply was lost returns true, and writes no second row.
	Break(ctx context.Context, breaks []Break) ([]bool, error)

	// ListBreaks returns up to limit breaks of locks of that name, the last one first. Like Queue
	// it takes no lock and waits for none.
	ListBreaks(ctx context.Context, name string, limit int) ([]Broken, error)

	// PurgeBreaks deletes up to limit rows that were written longer ago than ago, and returns how
	// many it has deleted.
	PurgeBreaks(ctx context.Context, ago time.Duration, limit int) (int, error)
}

// Break names an acquisition that is to end, and says what to record of it.
type Break struct {
	Claim        // the acquisition
	ID    string // unique for ever

	// The lock and its holder, as they were read. The owner token stands for one acquisition, so
	// they can't have changed, except for a fence that was raised by AdvanceFence.
	Kind   string    // of the lock, for people
	Fence  int64     // of the acquisition
	Holder string    // of the lease, for people; empty if unknown
	Note   string    // of the holder
	Since  time.Time // when it was acquired, by the database's clock

	By     string // the person who breaks it; empty if unknown
	From   string // the process that breaks it, as the holder of its leases, for people
	Reason string // what that person says about it
}

// Broken is a break that was recorded. Its Owner is empty.
type Broken struct {
	Break
	At time.Time // when it was broken, by the database's clock
}

// Limits of the texts of a [Break], in bytes. All others have that of a name.
const (
	MaxReason    = 1000
	maxBreakID   = 64
	maxBreakKind = 64
	maxBreakText = 255
)

// Check returns an error that wraps [ErrInvalid] if the break has no id, or a text that not every
// engine can store unchanged.
func (b Break) Check() error {
	if b.ID == "" {
		return fmt.Errorf("%w: the break of %q has no id", ErrInvalid, b.Name)
	}
	for _, text := range []struct {
		what, value string
		most        int
	}{
		{"id", b.ID, maxBreakID},
		{"name", b.Name, maxBreakText},
		{"kind", b.Kind, maxBreakKind},
		{"holder", b.Holder, maxBreakText},
		{"note", b.Note, maxBreakText},
		{"name of who broke it", b.By, maxBreakText},
		{"name of the process", b.From, maxBreakText},
		{"reason", b.Reason, MaxReason},
	} {
		switch {
		case len(text.value) > text.most:
			return fmt.Errorf("%w: break of %q: the %s has %d bytes, at most %d can be stored",
				ErrInvalid, b.Name, text.what, len(text.value), text.most)
		case !utf8.ValidString(text.value) || strings.ContainsRune(text.value, 0):
			return fmt.Errorf("%w: break of %q: the %s %q is not UTF-8 without NUL",
				ErrInvalid, b.Name, text.what, text.value)
		}
	}
	return nil
}
