package sqllock

import (
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// roles are how people call what a row serves, and whoever has it. A use that isn't here, of a newer version, is called by
// its own name.
var roles = map[use]struct{ thing, holder string }{
	useLock:     {"a lock", "held by"},
	useElection: {"an election", "whose leader is"},
}

// clash is the error of one who wants a row that somebody alive has for another use: to wait for it would be for ever where
// the one is a lock that is held for a moment, and the other a leader who stays. Nil: it is of the same use.
func (u use) clash(row dialect.Row) error {
	is := useOf(row.Owner)
	if hasReaders(row) && u != useLock {
		return invalid("%q is in use as a lock that is shared; take another name", row.Name)
	}
	if !row.Held || row.Lease != dialect.LeaseLive || is == u {
		return nil
	}
	role, ok := roles[is]
	if !ok {
		role.thing, role.holder = string(is), "held by"
	}
	note := ""
	if row.Note != "" {
		note = " (" + row.Note + ")"
	}
	return invalid("%q is in use as %s, %s %s%s since %s; take another name", row.Name, role.thing, role.holder, row.Holder, note,
		row.AcquiredAt.UTC().Format(time.RFC3339Nano))
}
