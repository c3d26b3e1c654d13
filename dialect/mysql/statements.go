package mysql

import (
	"context"
	"database/sql"
	"errors"
	"sync"

	"github.com/go-sql-driver/mysql"

	"github.com/sqllock/sqllock/dialect"
)

// pool runs statements on a *sql.DB and keeps them prepared. Otherwise the driver would prepare, execute and close
// each time: three round trips instead of one.
type pool struct {
	db *sql.DB

	mu   sync.Mutex
	kept map[string]*statement
}

// statement is closed when it is no longer kept and its last user has returned it: a statement that is closed under
// its user's hands is an error of database/sql's that can't be told from others.
type statement struct {
	*sql.Stmt
	users   int
	dropped bool
}

// ExecContext is that of sql.DB.
func (p *pool) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return run(ctx, p, query, func(s *sql.Stmt) (sql.Result, error) { return s.ExecContext(ctx, args...) })
}

// QueryContext is that of sql.DB.
func (p *pool) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return run(ctx, p, query, func(s *sql.Stmt) (*sql.Rows, error) { return s.QueryContext(ctx, args...) })
}

func run[T any](ctx context.Context, p *pool, query string, use func(*sql.Stmt) (T, error)) (result T, err error) {
	s, err := p.borrow(ctx, query)
	if err != nil {
		return result, err
	}
	result, err = use(s.Stmt)
	p.giveBack(query, s, stale(err))
	return result, err
}

// borrow answers the statement for query, prepared. Two who need one for the first time both prepare it, since
// waiting for the other one's database call would not end with ctx.
func (p *pool) borrow(ctx context.Context, query string) (*statement, error) {
	if p.db == nil {
		return nil, dialect.CheckDB(nil)
	}
	if s := p.find(query); s != nil {
		return s, nil
	}
	prepared, err := p.db.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	fresh := &statement{Stmt: prepared, users: 1}
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

func (p *pool) find(query string) *statement {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.kept[query]
	if s != nil {
		s.users++
	}
	return s
}

func (p *pool) giveBack(query string, s *statement, drop bool) {
	p.mu.Lock()
	s.users--
	if drop && p.kept[query] == s {
		delete(p.kept, query)
		s.dropped = true
	}
	unused := s.dropped && s.users == 0
	p.mu.Unlock()
	if unused {
		s.Close() //nolint:errcheck // nothing waits for it
	}
}

// forget drops all statements.
func (p *pool) forget() {
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
		s.Close() //nolint:errcheck // nothing waits for it
	}
}

// stale reports that a server, or a proxy that has changed servers, doesn't know the statement any more.
func stale(err error) bool {
	var answer *mysql.MySQLError
	return errors.As(err, &answer) && (answer.Number == erUnknownStatement || answer.Number == erNeedReprepare)
}
