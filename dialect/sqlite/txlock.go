package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/internal/engine"
)

// Those who wait for the write lock stand in no line: each asks again and again.
const (
	firstPause = time.Millisecond
	mostPause  = 25 * time.Millisecond
)

// mendPatience bounds the search for a connection that goes back to its pool with a setting of ours.
const mendPatience = 250 * time.Millisecond

// LockTx makes tx a writer. SQLite has one writer at a time, so whatever the name, the lock is the database's one write
// lock, which tx keeps until it ends: all other writes wait, heartbeats too, so keep it short. In a transaction that
// began IMMEDIATE, as those of a pool from Open do, tx has it already, and BeginTx was what waited for it.
//
// A deferred transaction that has read, while another has written since, can't become a writer any more: an error that
// says to begin another. Waiting asks again and again until ctx ends, without tx's busy_timeout. The driver
// github.com/mattn/go-sqlite3 doesn't tell the two apart, so there only ctx ends such a wait. A shared lock is an error
// that wraps dialect.ErrUnsupported.
func (d *Dialect) LockTx(ctx context.Context, tx *sql.Tx, lock dialect.ServerLock, wait bool) (bool, error) {
	got, err := d.lockTx(ctx, tx, lock, wait)
	return got, fail(fmt.Sprintf("lock %q in a transaction", lock.Name), err)
}

func (d *Dialect) lockTx(ctx context.Context, tx *sql.Tx, lock dialect.ServerLock, wait bool) (bool, error) {
	switch {
	case tx == nil:
		return false, fmt.Errorf("%w: the *sql.Tx is nil; pass the transaction that is to hold the lock", dialect.ErrInvalid)
	case lock.Shared:
		return false, fmt.Errorf("%w: SQLite has one lock for writers, and none that they share; take an exclusive one, or "+
			"just read", dialect.ErrUnsupported)
	}
	for pause := firstPause; ; pause = min(2*pause, mostPause) {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		got, err := d.tryWrite(ctx, tx)
		if got || err != nil || !wait {
			return got, explainTx(err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause/2 + rand.N(pause)):
		}
	}
}

// tryWrite becomes the writer at once or not at all. busy_timeout is set back in the same call where that works, and
// else in the next. Neither is interrupted when ctx ends: none of it waits, and an interrupted write would roll tx back.
func (d *Dialect) tryWrite(ctx context.Context, tx *sql.Tx) (bool, error) {
	ctx = context.WithoutCancel(ctx)
	was, err := engine.Query(ctx, tx, engine.One[int], "PRAGMA busy_timeout")
	if err != nil || len(was) != 1 {
		return false, err
	}
	back := fmt.Sprintf("PRAGMA busy_timeout = %d", was[0])
	_, err = tx.ExecContext(ctx, "PRAGMA busy_timeout = 0; "+d.sql.writeLock+"; "+back)
	if err == nil || hasEnded(err) {
		return err == nil, err
	}
	if _, failed := tx.ExecContext(ctx, back); failed != nil { // tx was ended meanwhile, by a ctx of its own
		d.mend(ctx, was[0])
		return false, failed
	}
	if isBusy(err) {
		err = nil
	}
	return false, err
}

// hasEnded tells whether a statement wasn't sent, since the transaction has ended: by database/sql's own errors, or that
// of the ctx that it was begun with.
func hasEnded(err error) bool {
	return errors.Is(err, sql.ErrTxDone) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// mend waits for the connection of a transaction that is being ended, and gives it its busy_timeout back.
func (d *Dialect) mend(ctx context.Context, was int) {
	if d.db == nil || was == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, mendPatience)
	defer cancel()
	for !d.mendIdle(ctx, was) && ctx.Err() == nil {
		time.Sleep(firstPause)
	}
}

// mendIdle looks at the pool's idle connections, and tells whether it was one of them.
func (d *Dialect) mendIdle(ctx context.Context, was int) (mended bool) {
	for range d.db.Stats().Idle {
		conn, err := d.db.Conn(ctx)
		if err != nil {
			break
		}
		defer conn.Close() //nolint:errcheck // each is kept until the last was looked at, or it would be the same again
		if now, err := engine.Query(ctx, conn, engine.One[int], "PRAGMA busy_timeout"); err == nil && len(now) == 1 && now[0] == 0 {
			_, err = conn.ExecContext(ctx, fmt.Sprintf("PRAGMA busy_timeout = %d", was))
			mended = mended || err == nil
		}
	}
	return mended
}

// explainTx says what the answer means for the caller's transaction.
func explainTx(err error) error {
	if isStale(err) {
		return fmt.Errorf("the transaction has read, and others have written since, so it can't become a writer; begin a new "+
			"one, and let it begin IMMEDIATE (_txlock=immediate, as Open does) or lock first: %w", err)
	}
	return err
}
