package integration

import (
	"context"
	"database/sql"
	"net"
	"sync/atomic"
	"testing"

	driver "github.com/go-sql-driver/mysql"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/mysql"
	"github.com/sqllock/sqllock/dialect/mysql/mysqldsn"
)

// myWire counts the driver's commands. The driver sends each with one write, and waits for its
// result.
type myWire struct {
	net.Conn
	writes *atomic.Int64
}

func (w myWire) Write(b []byte) (int, error) {
	w.writes.Add(1)
	return w.Conn.Write(b)
}

// counted returns a pool of one connection, and the count of its commands.
func (my *myBench) counted() (*sql.DB, *atomic.Int64) {
	my.Helper()
	u, err := mysqldsn.Cut(my.url)
	my.must(err)
	config, err := u.Config()
	my.must(err)
	var count atomic.Int64
	config.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		return myWire{conn, &count}, err
	}
	connector, err := driver.NewConnector(config)
	my.must(err)
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(1)
	my.Cleanup(func() { db.Close() })
	return db, &count
}

// Every operation of the hot path is one statement in one round trip, which commits by itself. Both
// the driver's writes and the server's counters are checked.
func TestMySQLOneRoundTripOneCommit(t *testing.T) {
	eachMySQL(t, func(t *testing.T, my *myBench) {
		db, writes := my.counted()
		d, ctx := mysql.New(db), t.Context()
		r := my.request("hot")
		acquire := func() error { _, err := d.Acquire(ctx, []dialect.Request{r}); return err }
		release := func() error { _, err := d.Release(ctx, []dialect.Claim{myClaim(r)}); return err }
		renew := func() error { _, err := d.RenewLeases(ctx, []string{r.LeaseID}); return err }
		get := func() error { _, err := d.Get(ctx, []dialect.Key{r.Key}); return err }
		const times = 10
		pairs := []func() error{acquire, release} // a release without an acquire would commit nothing
		calls := []struct {
			what       string
			calls      []func() error
			statements int64
			writing    bool
		}{
			{"acquire and release", pairs, 2, true},
			{"renew", []func() error{renew}, 1, true},
			{"get of a free row", []func() error{get}, 1, false},
		}
		for _, c := range calls { // the first calls insert the row and prepare the statements
			for range 2 {
				for _, call := range c.calls {
					my.must(call())
				}
			}
		}
		for _, c := range calls {
			before, sent := my.status(db), writes.Load()
			for range times {
				for _, call := range c.calls {
					my.must(call())
				}
			}
			roundTrips, after := writes.Load()-sent, my.status(db)
			want := times * c.statements
			if roundTrips != want || after.executed-before.executed != want || after.prepared != before.prepared ||
				c.writing && after.commits-before.commits != want {
				t.Errorf("%d × %s: %d round trips, want %d; the server's counters went from %+v to %+v",
					times, c.what, roundTrips, want, before, after)
			}
		}
	})
}

// A batch of several locks is one statement that commits. MySQL doesn't return which rows it has
// changed, so that takes one more statement.
func TestMySQLBatchesAreFewRoundTrips(t *testing.T) {
	roundTrips := map[string]int64{"mysql": 4, "mariadb": 2} // for an acquire and a release
	eachMySQL(t, func(t *testing.T, my *myBench) {
		db, writes := my.counted()
		d := mysql.New(db)
		var requests []dialect.Request
		var claims []dialect.Claim
		for _, name := range []string{"c", "a", "b"} {
			r := my.request(name)
			requests, claims = append(requests, r), append(claims, myClaim(r))
		}
		cycle := func() {
			grants, err := d.Acquire(t.Context(), requests)
			my.must(err)
			ours, err := d.Release(t.Context(), claims)
			my.must(err)
			for i := range requests {
				if !grants[i].Granted || !ours[i] {
					t.Errorf("request %d: granted %+v, released %t", i, grants[i], ours[i])
				}
			}
		}
		cycle() // inserts the rows and prepares the statements
		before, sent := my.status(db), writes.Load()
		cycle()
		n, after := writes.Load()-sent, my.status(db)
		executed, want := after.executed-before.executed, roundTrips[my.engine]
		if n != want || executed != want || after.prepared != before.prepared {
			t.Errorf("%d round trips, want %d; the server's counters went from %+v to %+v", n, want, before, after)
		}
	})
}

// myStatus has the session's own counters.
type myStatus struct{ prepared, executed, commits int64 }

func (my *myBench) status(db *sql.DB) (s myStatus) {
	my.Helper()
	for name, value := range map[string]*int64{
		"Com_stmt_prepare": &s.prepared, "Com_stmt_execute": &s.executed, "Handler_commit": &s.commits,
	} {
		my.must(db.QueryRowContext(my.Context(), "SHOW SESSION STATUS LIKE '"+name+"'").Scan(&name, value))
	}
	return s
}

// A guard costs the caller's transaction one statement. With interpolateParams in the DSN that is
// one round trip.
func TestMySQLGuardIsOneStatement(t *testing.T) {
	eachMySQL(t, func(t *testing.T, my *myBench) {
		my.url += "?interpolateParams=true"
		db, writes := my.counted()
		d := mysql.New(db)
		r := my.request("guarded")
		my.acquire(d, r)
		tx, err := db.BeginTx(t.Context(), nil)
		my.must(err)
		before := writes.Load()
		guarded, err := d.Guard(t.Context(), dialect.SQL(tx), []dialect.Claim{myClaim(r)})
		my.must(err)
		if n := writes.Load() - before; n != 1 || !guarded[0] {
			t.Errorf("Guard took %d round trips and returned %t; want 1 and true", n, guarded[0])
		}
		my.must(tx.Rollback())
	})
}
