package engine

import (
	"errors"

	"github.com/sqllock/sqllock/dialect"
)

// rounds bounds how often an acquire starts over because others were at the row.
const rounds = 4

// ErrBusy is Transient: nothing was taken, or written.
var ErrBusy = errors.New("others were changing the row at every try")

// Taking is an acquire by an engine whose statement passes over a row that somebody has locked, since that may be a
// guard, behind which an acquire mustn't wait.
type Taking struct {
	Take   func() (dialect.Grant, error) // the row, if it is there, free, and locked by nobody
	See    func() ([]bool, error)        // whether the row could be taken, read without locks; none: there is no row
	Insert func() (dialect.Grant, error) // makes the row; not granted: somebody was faster
	Settle func() error                  // waits until whoever is changing the row is done; nil: nobody is waited for
}

// Run takes the row if it can. If not, a read without locks tells why, and only where that doesn't explain it, since
// somebody is just changing the row, it waits for them and starts over.
func (t Taking) Run() (dialect.Grant, error) {
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
			if err != nil || grant.Granted || t.Settle == nil {
				return grant, err
			}
		case !takeable[0] || t.Settle == nil:
			return dialect.Grant{}, nil
		default:
			if err = t.Settle(); err != nil {
				return dialect.Grant{}, err
			}
		}
	}
	return dialect.Grant{}, ErrBusy
}
