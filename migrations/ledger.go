package migrations

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/sqllock/sqllock/sqllock"
)

// ledger reads and writes a database's history during a run, on the connection that holds the lock.
type ledger struct {
	*history
	sharedConn *sharedConn
	by         string
	kept       bool // whether the table exists
}

// openLedger finds out whether there is a history. It changes nothing.
func openLedger(ctx context.Context, sharedConn *sharedConn, engine *Engine, d Driver, by string) (*ledger, error) {
	if by == "" {
		by = sqllock.DefaultHolder()
	}
	l := &ledger{sharedConn: sharedConn, by: by}
	err := l.with(func(db *sql.DB) (err error) {
		if l.history, err = openHistory(ctx, db, engine, d); err == nil {
			l.kept, err = l.exists(ctx, db)
		}
		return err
	})
	return l, err
}

// with calls f with a pool of the one connection. golang-migrate's driver uses the same connection
// and must have no statement in progress.
func (l *ledger) with(f func(db *sql.DB) error) error {
	db := l.sharedConn.pool()
	defer func() {
		_ = db.Close()
		l.sharedConn.lost = false // the pool is closed, not the connection
	}()
	return f(db)
}

// records returns the history. It returns none if there is no history yet.
func (l *ledger) records(ctx context.Context) (records []Record, err error) {
	if l == nil || !l.kept {
		return nil, nil
	}
	err = l.with(func(db *sql.DB) error {
		records, err = l.list(ctx, db)
		return err
	})
	return records, err
}

// write adds records. It creates the table if necessary, even if there are no records.
func (l *ledger) write(ctx context.Context, records ...Record) error {
	if l == nil {
		return nil
	}
	return l.with(func(db *sql.DB) error {
		if !l.kept {
			if err := l.create(ctx, db); err != nil {
				return err
			}
			l.kept = true
		}
		if len(records) == 0 {
			return nil
		}
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		if err := l.add(ctx, tx, l.by, records...); err != nil {
			return errors.Join(err, tx.Rollback())
		}
		return tx.Commit()
	})
}

// record adds the attempt's migration to the history. On every engine it is called in the
// transaction that records the version, right before the commit, so that the record exists if and
// only if the version does.
func (a *attempt) record() error {
	if a.ledger == nil {
		return nil
	}
	return a.ledger.with(func(db *sql.DB) error {
		return a.ledger.add(a.sharedConn.until, db, a.ledger.by, ran(a.step, a.text))
	})
}

// ran returns the record of a step that a run has applied.
func ran(step Step, text string) Record {
	r := Record{
		Version: step.Version, Name: step.Name, Down: step.Down, How: HowRun,
		Took: max(step.Took, time.Millisecond),
	}
	if step.Source() != "" {
		r.Checksum = Checksum([]byte(text))
	}
	return r
}
