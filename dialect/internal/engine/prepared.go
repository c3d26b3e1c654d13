package engine

import (
	"context"
	"database/sql"
	"sync"

	"github.com/sqllock/sqllock/dialect"
)

// Prepared is a Session that runs statements on a *sql.DB and keeps them prepared, for drivers that
// would otherwise prepare, execute and close each time. The zero value refuses every call, as NoDB
// does. It is safe for concurrent use.
type Prepared struct {
	DB    *sql.DB
	Stale func(error) bool // the server no longer knows the statement; may be nil

	mu   sync.Mutex
	kept map[string]*statement
}

// statement is closed when it is no longer kept and its last user has released it. If a statement
// is closed during its use, database/sql returns an error that can't be told apart from others.
type statement struct {
	*sql.Stmt
	users   int
	dropped bool
}

// Exec runs a statement and returns how many rows it has changed.
func (p *Prepared) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	return dialect.SQL(p).Exec(ctx, query, args...)
}

// Query runs a statement that returns rows.
func (p *Prepared) Query(ctx context.Context, query string, args ...any) (dialect.Rows, error) {
	return dialect.SQL(p).Query(ctx, query, args...)
}

// ExecContext calls that of sql.DB with a prepared statement.
func (p *Prepared) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return prepared(ctx, p, query, func(s *sql.Stmt) (sql.Result, error) { return s.ExecContext(ctx, args...) })
}

// QueryContext calls that of sql.DB with a prepared statement.
func (p *Prepared) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return prepared(ctx, p, query, func(s *sql.Stmt) (*sql.Rows, error) { return s.QueryContext(ctx, args...) })
}

func prepared[T any](
	ctx context.Context, p *Prepared, query string, use func(*sql.Stmt) (T, error),
) (result T, err error) {
	s, err := p.acquire(ctx, query)
	if err != nil {
		return result, Exhausted(p.DB, err)
	}
	result, err = use(s.Stmt)
	p.release(query, s, p.Stale != nil && p.Stale(err))
	return result, Exhausted(p.DB, err)
}

// acquire returns the prepared statement for query. Two callers that need one for the first time
// both prepare it, since a wait for the other's database call would not end with ctx.
func (p *Prepared) acquire(ctx context.Context, query string) (*statement, error) {
	if p.DB == nil {
		return nil, dialect.CheckDB(nil)
	}
	if s := p.find(query); s != nil {
		return s, nil
	}
	made, err := p.DB.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	fresh := &statement{Stmt: made, users: 1}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.kept == nil {
		p.kept = make(map[string]*statement)
	}
	if p.kept[query] == nil {
		p.kept[query] = fresh
	} else {
		fresh.dropped = true
	}
	return fresh, nil
}

func (p *Prepared) find(query string) *statement {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.kept[query]
	if s != nil {
		s.users++
	}
	return s
}

func (p *Prepared) release(query string, s *statement, drop bool) {
	p.mu.Lock()
	s.users--
	if drop && p.kept[query] == s {
		delete(p.kept, query)
		s.dropped = true
	}
	unused := s.dropped && s.users == 0
	p.mu.Unlock()
	if unused {
		s.Close() //nolint:errcheck // nothing depends on it
	}
}

// Forget drops all statements, without waiting for those in use.
func (p *Prepared) Forget() {
	p.mu.Lock()
	var unused []*statement
	for _, s := range p.kept {
		s.dropped = true
		if s.users == 0 {
			unused = append(unused, s)
		}
	}
	p.kept = nil
	p.mu.Unlock()
	for _, s := range unused {
		s.Close() //nolint:errcheck // nothing depends on it
	}
}
