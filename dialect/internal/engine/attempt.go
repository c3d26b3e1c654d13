package engine

import (
	"errors"

	"github.com/sqllock/sqllock/dialect"
)

// rounds bounds how often an acquire starts again because others were changing the row.
const rounds = 4

// ErrBusy is Transient: nothing was taken or written.
var ErrBusy = errors.New("others were changing the row at every try")

// Attempt is an acquire on an engine whose statement skips a locked row. The lock may be a guard,
// and an acquire mustn't wait behind a guard.
type Attempt struct {
	Take func() (dialect.Grant, error) // takes the row if it exists, is free and isn't locked
	// reports whether the row can be taken, read without locks; empty: no row
	See func() ([]bool, error)
	// inserts the row; not granted if another client was faster
	Insert func() (dialect.Grant, error)
	Await  func() error // waits until a change of the row is done; nil to wait for nothing
}

// Run takes the row if it can. Otherwise it reads the row without locks to learn the reason. Only
// if the row could be taken, and so is being changed right now, Run waits for that and starts
// again.
func (t Attempt) Run() (dialect.Grant, error) {
	for range rounds {
		grant, err := t.Take()
		if err != nil || grant.Granted {
			return grant, err
		}
		takeable, err := t.See()
		switch {
		case err != nil:
			return dialect.Grant{}, err
		case len(takeable) == 0:
			grant, err = t.Insert()
			if err != nil || grant.Granted || t.Await == nil {
				return grant, err
			}
		case !takeable[0] || t.Await == nil:
			return dialect.Grant{}, nil
		default:
			if err = t.Await(); err != nil {
				return dialect.Grant{}, err
			}
		}
	}
	return dialect.Grant{}, ErrBusy
}
