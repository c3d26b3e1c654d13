package mysql

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/go-sql-driver/mysql"

	"github.com/sqllock/sqllock/dialect"
)

// fake is a server that counts what is prepared, run and closed, and refuses what its refuse says.
type fake struct {
	prepared, run, closed, afterClose atomic.Int32
	refuse                            atomic.Pointer[mysql.MySQLError]
}

func (f *fake) Connect(context.Context) (driver.Conn, error) { return fakeConn{f}, nil }
func (f *fake) Driver() driver.Driver                        { return nil }

type fakeConn struct{ *fake }

func (c fakeConn) Prepare(string) (driver.Stmt, error) {
	c.prepared.Add(1)
	return &fakeStmt{fake: c.fake}, nil
}
func (c fakeConn) Close() error              { return nil }
func (c fakeConn) Begin() (driver.Tx, error) { return nil, driver.ErrSkip }

type fakeStmt struct {
	*fake
	over atomic.Bool
}

func (s *fakeStmt) Close() error  { s.over.Store(true); s.closed.Add(1); return nil }
func (s *fakeStmt) NumInput() int { return -1 }
func (s *fakeStmt) Exec([]driver.Value) (driver.Result, error) {
	s.run.Add(1)
	if s.over.Load() {
		s.afterClose.Add(1)
	}
	if err := s.refuse.Swap(nil); err != nil {
		return nil, err
	}
	return driver.RowsAffected(1), nil
}
func (s *fakeStmt) Query([]driver.Value) (driver.Rows, error) { return nil, driver.ErrSkip }

func newFake(t *testing.T) (*fake, *Dialect) {
	f := &fake{}
	db := sql.OpenDB(f)
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { db.Close() })
	d := New(db)
	d.server.Store(&flavour{}) // known, so it isn't read
	return f, d
}

func (f *fake) expect(t *testing.T, prepared, run, closed int32) {
	t.Helper()
	if p, r, c := f.prepared.Load(), f.run.Load(), f.closed.Load(); p != prepared || r != run || c != closed {
		t.Errorf("prepared %d, run %d, closed %d; want %d, %d, %d", p, r, c, prepared, run, closed)
	}
}

func TestStatementsAreKept(t *testing.T) {
	f, d := newFake(t)
	renew := func() {
		t.Helper()
		if ok, err := d.RenewLeases(t.Context(), []string{"a"}); err != nil || !ok[0] {
			t.Fatal(ok, err)
		}
	}
	for range 3 {
		renew()
	}
	f.expect(t, 1, 3, 0)
	for range 2 {
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
	}
	f.expect(t, 1, 3, 1)
	renew()
	f.expect(t, 2, 4, 1)
}

// A proxy that moved the connection to another server has lost the statement: it must be prepared
// again.
func TestStaleStatementsAreDropped(t *testing.T) {
	for _, number := range []uint16{1243, 1615} {
		f, d := newFake(t)
		for i := range 3 {
			if i == 1 {
				f.refuse.Store(&mysql.MySQLError{Number: number})
			}
			_, err := d.RenewLeases(t.Context(), []string{"a"})
			if (err != nil) != (i == 1) || err != nil && d.Classify(err) != dialect.ClassTransient {
				t.Errorf("%d, call %d: %v (class %s)", number, i, err, d.Classify(err))
			}
		}
		f.expect(t, 2, 3, 1)
	}
}

// Close during use: no statement is closed while it is in use, and none is left open in the end.
func TestCloseWhileInUse(t *testing.T) {
	f, d := newFake(t)
	d.db.SetMaxOpenConns(8)
	var group sync.WaitGroup
	failures := make(chan error, 100)
	for range 8 {
		group.Go(func() {
			for i := range 200 {
				if _, err := d.RenewLeases(t.Context(), []string{"a"}); err != nil {
					failures <- fmt.Errorf("call %d: %w", i, err)
					return
				}
				if i%10 == 0 {
					d.Close()
				}
			}
		})
	}
	group.Wait()
	d.Close()
	select {
	case err := <-failures:
		t.Error(err)
	default:
	}
	if f.afterClose.Load() != 0 || f.prepared.Load() != f.closed.Load() {
		t.Errorf("%d used after they were closed, %d prepared, %d closed",
			f.afterClose.Load(), f.prepared.Load(), f.closed.Load())
	}
}
