package mysql

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/sqllock/sqllock/dialect/internal/engine"
)

// A transaction lock is the lock of a row, and that row must already exist. A search for a missing
// row locks the gap, and so blocks everybody else from inserting it or rows beside it. The row is
// inserted and committed on the pool: in the caller's transaction it would be invisible to others,
// and they would wait for it where they mustn't.
const (
	// keepRow is how long a row is known to exist. Purge keeps it for twice as long: see
	// idle_locks.sql.
	keepRow = 30 * time.Minute

	// for a connection of the pool and a row; a caller may hold the last one
	rowTimeout = 5 * time.Second
	// for another caller that inserts the same row and may already hold it
	addTimeout = 250 * time.Millisecond

	mostRows = 10_000 // to remember
)

// errNoRow is Transient: the row was deleted between inserting and locking it, which only happens
// by hand.
var errNoRow = errors.New("the lock's row is gone: it was deleted meanwhile; roll the transaction back and begin again")

// errRowTimeout is Transient.
var errRowTimeout = errors.New("the lock's row couldn't be made within 5s on another connection of the pool: " +
	"if all of its connections are in transactions, let it have more (SetMaxOpenConns)")

// rows remembers which rows exist, so that taking a lock again is one statement. The zero value is
// ready to use.
type rows struct {
	mu   sync.Mutex
	seen map[string]sighted
}

type sighted struct {
	at   time.Time
	good time.Duration // how long it is known to exist
}

func (r *rows) has(name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	s, seen := r.seen[name]
	now := time.Now()
	// Both clocks: the monotonic one stands still during suspend, and the wall clock may be set.
	return seen && now.Sub(s.at) < s.good && now.Round(0).Sub(s.at.Round(0)) < s.good
}

func (r *rows) add(name string, s sighted) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seen == nil || len(r.seen) >= mostRows {
		r.seen = make(map[string]sighted)
	}
	r.seen[name] = s
}

func (r *rows) forget(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.seen, name)
}

// haveRow makes sure that the lock's row exists, and stays for as long as that is remembered.
func (d *Dialect) haveRow(ctx context.Context, f flavour, name string) error {
	if d.rows.has(name) {
		return nil
	}
	asked := time.Now()
	good, err := d.makeRow(ctx, f, name)
	if err == nil {
		d.rows.add(name, sighted{asked, good})
	}
	return err
}

// makeRow finds the row or inserts it, and returns for how long it is known to exist.
func (d *Dialect) makeRow(ctx context.Context, f flavour, name string) (time.Duration, error) {
	for {
		age, err := engine.Query(ctx, d.pool, engine.One[int64], sqlSeeRow, name)
		switch {
		case err != nil:
			return 0, err
		case len(age) > 0 && engine.Duration(age[0]) < keepRow:
			return keepRow - engine.Duration(age[0]), nil
		case len(age) > 0:
			n, err := engine.Affected(sqlKeepRow.run(ctx, d.pool, f, []any{name}))
			return time.Duration(n) * keepRow, err // if it is locked, the next call reads it again
		}
		added, err := d.addRow(ctx, name)
		if added || err != nil {
			return keepRow, err
		}
	}
}

// addRow inserts the row. It returns false if it has waited too long for another client that has
// inserted the same row and holds it.
func (d *Dialect) addRow(ctx context.Context, name string) (bool, error) {
	brief, cancel := context.WithTimeout(ctx, addTimeout)
	defer cancel()
	_, err := engine.Exec(brief, d.pool, sqlAddRow, name)
	if err != nil && brief.Err() != nil && ctx.Err() == nil {
		return false, nil
	}
	if n := number(err); n == erDuplicateEntry || n == erLockWaitTimeout {
		err = nil
	}
	return true, err
}
