package engine

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// narrow is a connector with a limited number of connections, like a driver's own pool. A caller
// that finds none waits.
type narrow struct{ free chan struct{} }

func newNarrow(connections int) narrow {
	n := narrow{make(chan struct{}, connections)}
	for range connections {
		n.free <- struct{}{}
	}
	return n
}

func (n narrow) Connect(ctx context.Context) (driver.Conn, error) {
	select {
	case <-n.free:
		return narrowConn{n}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (n narrow) Driver() driver.Driver { return nil }

type narrowConn struct{ narrow }

func (c narrowConn) Close() error                        { c.free <- struct{}{}; return nil }
func (c narrowConn) Begin() (driver.Tx, error)           { return nil, errors.ErrUnsupported }
func (c narrowConn) Prepare(string) (driver.Stmt, error) { return nil, errors.ErrUnsupported }

// A pool of one below the *sql.DB is detected. One whose connections are all in use is busy.
func TestSecondConn(t *testing.T) {
	t.Parallel()
	ask := func(db *sql.DB, within time.Duration) error {
		first, err := db.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer first.Close()
		ctx, cancel := context.WithTimeout(t.Context(), within)
		defer cancel()
		second, err := SecondConn(ctx, db)
		if err == nil {
			err = second.Close()
		}
		return err
	}
	if err := ask(sql.OpenDB(newNarrow(2)), time.Minute); err != nil {
		t.Errorf("with two connections: %v", err)
	}
	if err := ask(sql.OpenDB(newNarrow(1)), time.Minute); !errors.Is(err, dialect.ErrInvalid) ||
		!strings.Contains(err.Error(), "pool_max_conns") {
		t.Errorf("with one connection: %v", err)
	}
	busy := sql.OpenDB(newNarrow(2))
	busy.SetMaxOpenConns(1)
	err := ask(busy, 10*time.Millisecond)
	if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, dialect.ErrNoConnection) ||
		!strings.Contains(err.Error(), "all 1 of") {
		t.Errorf("all are in use: %v", err)
	}
}

// Only an error of a call that ended with its ctx says that all connections were in use.
func TestExhausted(t *testing.T) {
	t.Parallel()
	db := sql.OpenDB(newNarrow(5))
	db.SetMaxOpenConns(1)
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	for what, s := range map[string]Session{"pool": Pool(db), "prepared": &Prepared{DB: db}} {
		_, err := s.Exec(ctx, "")
		_, other := s.Query(ctx, "") //nolint:gocritic // it fails, and there are no rows
		for _, err := range []error{err, other} {
			if !errors.Is(err, dialect.ErrNoConnection) || !errors.Is(err, context.DeadlineExceeded) ||
				!strings.Contains(err.Error(), "SetMaxOpenConns") {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
	failure := errors.New("failure")
	if got := Exhausted(db, failure); got != failure { //nolint:errorlint // the same value
		t.Errorf("another error became %v", got)
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	if got := Exhausted(db, ctx.Err()); errors.Is(got, dialect.ErrNoConnection) {
		t.Errorf("with a free connection: %v", got)
	}
}

// Check reports connections that are opened and closed again and again.
func TestChurn(t *testing.T) {
	t.Parallel()
	db := sql.OpenDB(newNarrow(100))
	churn := NewChurn(db)
	burst := func() {
		var all []*sql.Conn
		for range 10 {
			conn, err := db.Conn(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, conn)
		}
		for _, conn := range all {
			if err := conn.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if f := churn.Finding(false); f.Verdict != dialect.VerdictGood {
		t.Errorf("at rest: %+v", f)
	}
	for range 10 {
		burst()
	}
	if f := churn.Finding(true); f.Verdict != dialect.VerdictGood {
		t.Errorf("a pool below keeps the connections: %+v", f)
	}
	f := churn.Finding(false)
	if f.Verdict != dialect.VerdictNotice || !strings.Contains(f.Found, "80 connections were closed") ||
		!strings.Contains(f.Advice, "SetMaxIdleConns") {
		t.Errorf("of ten connections, eight were closed, ten times: %+v", f)
	}
	db.SetMaxIdleConns(10)
	churn = NewChurn(db)
	for range 10 {
		burst()
	}
	if f := churn.Finding(false); f.Verdict != dialect.VerdictGood {
		t.Errorf("all are kept: %+v", f)
	}
}
