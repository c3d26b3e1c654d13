package mysql

import (
	"context"
	"database/sql"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/internal/engine"
)

// pool is the application's pool as the statements see it. They are kept prepared, and each commits
// by itself. On TiDB each has a transaction of its own instead: see tidb.go.
type pool struct {
	engine.Prepared
	d *Dialect
}

var (
	_ dialect.Querier  = (*pool)(nil)
	_ engine.Session   = (*pool)(nil)
	_ engine.RowReader = (*pool)(nil)
)

// ExecContext runs a statement.
func (p *pool) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	f, err := p.d.flavour(ctx)
	switch {
	case err != nil:
		return nil, err
	case f.product != tidb:
		return p.Prepared.ExecContext(ctx, query, args...)
	}
	return f.together(ctx, p, func(s engine.Session) (sql.Result, error) {
		return engine.ExecResult(ctx, s, query, args...)
	})
}

// Exec runs a statement and returns how many rows it has changed.
func (p *pool) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	n, err := engine.Affected(p.ExecContext(ctx, query, args...))
	return int64(n), err
}

// ReadRows runs a query and calls read with its rows.
func (p *pool) ReadRows(ctx context.Context, read func(dialect.Rows) error, query string, args ...any) error {
	f, err := p.d.flavour(ctx)
	switch {
	case err != nil:
		return err
	case f.product != tidb:
		return engine.ReadRows(ctx, &p.Prepared, read, query, args...)
	}
	_, err = f.together(ctx, p, func(s engine.Session) (sql.Result, error) {
		return nil, engine.ReadRows(ctx, s, read, query, args...)
	})
	return err
}
