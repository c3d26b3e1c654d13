package dialecttest

import (
	"context"
	"database/sql"
	"testing"

	"github.com/sqllock/sqllock/dialect"
)

// Pools are the source of a suite's pools, whatever they are made of.
type Pools interface {
	// Own returns the pool that Harness.Dialect runs on, which the suite doesn't close.
	Own() Pool

	// Open opens one more pool on the same database. The caller closes it.
	Open(t *testing.T) Pool

	// Narrow opens a pool with a single connection.
	Narrow(t *testing.T) Pool

	// Empty opens a pool on a database without any tables. The caller closes it.
	Empty(t *testing.T) Pool

	// None returns a dialect on a nil pool.
	None() dialect.Dialect
}

// Pool is a pool of connections, and the dialect on it.
type Pool interface {
	Dialect() dialect.Dialect                                        // on this pool
	Begin(ctx context.Context, level sql.IsolationLevel) (Tx, error) // as the application begins it
	KeepIdle(n int)                                                  // keep n connections open and unused
	Close() error                                                    // may be called again
}

// Tx is a transaction of an application's.
type Tx interface {
	dialect.Tx
	Commit() error   // ends it
	Rollback() error // ends it; after its end it only returns an error
}

// sqlPools are pools of database/sql, as the Harness opens them.
type sqlPools struct{ Harness }

func (p sqlPools) Own() Pool               { return sqlPool{p.DB, p.Dialect} }
func (p sqlPools) Open(t *testing.T) Pool  { return p.on(p.Harness.Open(t)) }
func (p sqlPools) Empty(t *testing.T) Pool { return p.on(p.Harness.Empty(t)) }
func (p sqlPools) None() dialect.Dialect   { return p.New(nil) }

func (p sqlPools) Narrow(t *testing.T) Pool {
	db := p.Harness.Open(t)
	db.SetMaxOpenConns(1)
	return p.on(db)
}

func (p sqlPools) on(db *sql.DB) Pool { return sqlPool{db, p.New(db)} }

type sqlPool struct {
	*sql.DB
	d dialect.Dialect
}

func (p sqlPool) Dialect() dialect.Dialect { return p.d }
func (p sqlPool) KeepIdle(n int)           { p.SetMaxIdleConns(n) }

func (p sqlPool) Begin(ctx context.Context, level sql.IsolationLevel) (Tx, error) {
	tx, err := p.BeginTx(ctx, &sql.TxOptions{Isolation: level})
	if err != nil {
		return nil, err
	}
	return sqlTx{dialect.SQL(tx), tx}, nil
}

type sqlTx struct {
	dialect.Tx
	ending
}

type ending interface {
	Commit() error
	Rollback() error
}

// pools returns the source of the suite's pools.
func (s *suite) pools() Pools {
	if s.Pools != nil {
		return s.Pools
	}
	return sqlPools{s.Harness}
}

// keepIdle keeps n connections open: otherwise dialing would make goroutines that are to race start
// one after the other.
func (s *suite) keepIdle(n int) {
	if s.DB != nil {
		s.pools().Own().KeepIdle(n)
	}
}

// another returns a dialect on another pool with n open connections, or the same dialect if there
// is no database.
func (s *suite) another(n int) dialect.Dialect {
	s.Helper()
	if s.DB == nil {
		return s.d
	}
	pool := s.pools().Open(s.T)
	s.Cleanup(func() { _ = pool.Close() })
	pool.KeepIdle(n)
	return pool.Dialect()
}

// beginAs begins a transaction, or returns the error.
func (s *suite) beginAs(ctx context.Context, level sql.IsolationLevel) (Tx, error) {
	return s.pools().Own().Begin(ctx, level)
}
