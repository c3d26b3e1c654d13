package mysql

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/sqllock/sqllock/internal/engine"
)

// A transaction lock is the lock of a row, and that row must be there before: looking for one that isn't there locks
// the gap, and so keeps everybody from making it, and rows beside it. It is made and committed on the pool, since in
// the caller's transaction others wouldn't see it, and would wait for it where they mustn't.
const (
	// keepRow is how long a row is good for. Purge leaves it there for twice as long: see idle_locks.sql.
	keepRow = 30 * time.Minute

	rowPatience = 5 * time.Second        // for a connection of the pool, and a row; a caller may hold the last one
	addPatience = 250 * time.Millisecond // for another who makes the same row, and holds it by now

	mostRows = 10_000 // to remember
)

// errNoRow is Transient: the row went between making and locking it, which only a hand can do.
var errNoRow = errors.New("the lock's row is gone: somebody has deleted it; roll the transaction back and begin anew")

// errRowPatience is Transient.
var errRowPatience = errors.New("the lock's row couldn't be made within 5s on another connection of the pool: " +
	"if all of its connections are in transactions, let it have more (SetMaxOpenConns)")

// rows remembers which ones are there, so that to take a lock again is one statement. Its zero value is ready.
type rows struct {
	mu   sync.Mutex
	seen map[string]sighted
}

type sighted struct {
	at   time.Time
	good time.Duration // for how long
}

func (r *rows) has(name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	s, seen := r.seen[name]
	now := time.Now()
	// Both clocks: the one stands still while the machine is suspended, and the other may be set.
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

// haveRow makes sure that the lock's row is there, and stays for as long as that is remembered.
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

// makeRow finds the row, or makes it, and answers for how long it is good.
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
			return time.Duration(n) * keepRow, err // somebody is at it: it is looked at again next time
		}
		added, err := d.addRow(ctx, name)
		if added || err != nil {
			return keepRow, err
		}
	}
}

// addRow answers false if it has waited too long for somebody who has made the same row, and holds it.
func (d *Dialect) addRow(ctx context.Context, name string) (bool, error) {
	brief, cancel := context.WithTimeout(ctx, addPatience)
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
