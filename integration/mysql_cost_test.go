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
	"github.com/sqllock/sqllock/internal/dburl"
)

// myWire counts what the driver sends: each command with one write, for whose answer it waits.
type myWire struct {
	net.Conn
	writes *atomic.Int64
}

func (w myWire) Write(b []byte) (int, error) {
	w.writes.Add(1)
	return w.Conn.Write(b)
}

// counted is a pool of one connection whose commands are counted.
func (my *myBench) counted() (*sql.DB, *atomic.Int64) {
	my.Helper()
	dsn, err := dburl.MySQL(my.url)
	my.must(err)
	config, err := driver.ParseDSN(dsn)
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

// Every operation of the hot path is one statement in one round trip, which commits by itself. What was asked of the
// server is counted by the driver's writes and by the server.
func TestMySQLOneRoundTripOneCommit(t *testing.T) {
	eachMySQL(t, func(t *testing.T, my *myBench) {
		db, writes := my.counted()
		d, ctx := mysql.New(db), t.Context()
		r := my.request("hot")
		acquire := func() error { _, err := d.Acquire(ctx, []dialect.Request{r}); return err }
		release := func() error { _, err := d.Release(ctx, []dialect.Claim{myClaim(r)}); return err }
		renew := func() error { _, err := d.RenewLeases(ctx, []string{r.LeaseID}); return err }
		look := func() error { _, err := d.Look(ctx, []dialect.Key{r.Key}); return err }
		const times = 10
		pairs := []func() error{acquire, release} // a release of what isn't held would commit nothing
		calls := []struct {
			what       string
			calls      []func() error
			statements int64
			writing    bool
		}{
			{"acquire and release", pairs, 2, true},
			{"renew", []func() error{renew}, 1, true},
			{"look at a free row", []func() error{look}, 1, false},
		}
		for _, c := range calls { // a connection's first time: the row is made, the statements are prepared
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
				t.Errorf("%d × %s: %d round trips; the server's count went from %+v to %+v", times, c.what, roundTrips, before, after)
			}
		}
	})
}

// Several locks together are one statement that commits. MySQL doesn't say what it has changed, and is asked once more.
func TestMySQLBatchesAreFewRoundTrips(t *testing.T) {
	roundTrips := map[string]int64{"mysql": 4, "mariadb": 2} // of an acquire and a release
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
					t.Errorf("%d: %+v, %t", i, grants[i], ours[i])
				}
			}
		}
		cycle() // the rows are made, the statements are prepared
		before, sent := my.status(db), writes.Load()
		cycle()
		n, after := writes.Load()-sent, my.status(db)
		if want := roundTrips[my.engine]; n != want || after.executed-before.executed != want || after.prepared != before.prepared {
			t.Errorf("%d round trips, want %d; the server's count went from %+v to %+v", n, want, before, after)
		}
	})
}

// myStatus is the session's own count.
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

// A guard costs the caller's transaction one statement, and one round trip where the DSN says interpolateParams.
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
		guarded, err := d.Guard(t.Context(), tx, []dialect.Claim{myClaim(r)})
		my.must(err)
		if n := writes.Load() - before; n != 1 || !guarded[0] {
			t.Errorf("%d round trips, guarded %t", n, guarded[0])
		}
		my.must(tx.Rollback())
	})
}
