package lockers

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"time"
)

// sqlRow is a lock row by hand through database/sql: single statements, prepared once and kept.
type sqlRow struct {
	db                        *sql.DB
	take, create, free, renew *sql.Stmt
	holder                    string
	micros                    int64
	stop                      func()
}

// rowStatements are an engine's statements. Their parameters are the same on all engines.
type rowStatements struct {
	table  string
	take   string // holder, owner, micros, name
	create string // name, holder, owner, micros: creates the row if there is none
	free   string // name, owner
	renew  string // micros, holder
}

func (s rowStatements) prepare(open func(url string) (*sql.DB, error)) func(ctx context.Context, url string) error {
	return func(ctx context.Context, url string) error {
		db, err := open(url)
		if err != nil {
			return err
		}
		_, err = db.ExecContext(ctx, s.table)
		return errors.Join(err, db.Close())
	}
}

func (s rowStatements) open(
	open func(url string) (*sql.DB, error), conns func(int) int,
) func(context.Context, Config) (Locker, error) {
	return func(ctx context.Context, c Config) (Locker, error) {
		db, err := open(c.URL)
		if err != nil {
			return nil, err
		}
		pool(db, conns(c.Conns))
		l := &sqlRow{db: db, holder: rand.Text(), micros: c.TTL.Microseconds(), stop: func() {}}
		for _, p := range []struct {
			to   **sql.Stmt
			text string
		}{{&l.take, s.take}, {&l.create, s.create}, {&l.free, s.free}, {&l.renew, s.renew}} {
			//nolint:sqlclosecheck // kept until the *sql.DB is closed
			if *p.to, err = db.PrepareContext(ctx, p.text); err != nil {
				return nil, errors.Join(err, db.Close())
			}
		}
		if c.Keep {
			l.stop = every(c.TTL, l.keep)
		}
		return l, nil
	}
}

func (l *sqlRow) keep(ctx context.Context) { _, _ = l.renew.ExecContext(ctx, l.micros, l.holder) }

func (l *sqlRow) Lock(ctx context.Context, name string) (Unlock, error) {
	owner, first := rand.Text(), true
	err := poll(ctx, func() (bool, error) {
		ok, err := affected(l.take.ExecContext(ctx, l.holder, owner, l.micros, name))
		if err == nil && !ok && first { // the row is created at most once per call
			first = false
			ok, err = affected(l.create.ExecContext(ctx, name, l.holder, owner, l.micros))
		}
		return ok, err
	})
	return func(ctx context.Context) error {
		_, err := l.free.ExecContext(ctx, name, owner)
		return err
	}, err
}

func affected(r sql.Result, err error) (bool, error) {
	if err != nil {
		return false, err
	}
	n, err := r.RowsAffected()
	return n == 1, err
}

func (l *sqlRow) Close() error {
	l.stop()
	return l.db.Close() // also closes the statements
}

// as returns the pool's size unchanged.
func as(conns int) int { return conns }

// slice bounds the wait of one statement in the server. It is short, so that the end of a ctx is
// noticed.
const slice = time.Second
