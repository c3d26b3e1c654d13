package integration

import (
	"crypto/rand"
	"database/sql"
	"errors"
	"strings"
	"testing"
	"time"

	driver "github.com/go-sql-driver/mysql"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/mysql"
	"github.com/sqllock/sqllock/integration/servers"
)

// eachMySQL runs f on a fresh, migrated database of MySQL and of MariaDB.
func eachMySQL(t *testing.T, f func(t *testing.T, my *myBench)) {
	t.Helper()
	t.Parallel()
	for _, engine := range servers.OneOfEachKind(t, "mysql", "mariadb") {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			f(t, newMyBench(t, engine, database(t, servers.Start(t, engine))))
		})
	}
}

// myBench is a dialect on a migrated database, with helpers to inspect what it does there.
type myBench struct {
	*testing.T
	engine, url string
	db          *sql.DB
	d           *mysql.Dialect
}

func newMyBench(t *testing.T, engine, url string) *myBench {
	t.Helper()
	my := &myBench{T: t, engine: engine, url: url}
	my.db = my.open()
	my.d = my.dialect(my.db)
	return my
}

// dialect returns a dialect that supports sessions, on a pool opened with the same parameters.
func (my *myBench) dialect(db *sql.DB, parameters ...string) *mysql.Dialect {
	my.Helper()
	connector, err := mysql.Connector(my.with(parameters...))
	my.must(err)
	return mysql.New(db, mysql.WithConnector(connector))
}

// open opens another pool, with additional parameters in its URL.
func (my *myBench) open(parameters ...string) *sql.DB {
	my.Helper()
	db, err := mysql.Open(my.with(parameters...))
	my.must(err)
	my.Cleanup(func() { db.Close() })
	return db
}

// with adds parameters to the URL. The parameter of the isolation level has another name on
// MariaDB.
func (my *myBench) with(parameters ...string) string {
	url := my.url
	for i, parameter := range parameters {
		separator := "&"
		if i == 0 && !strings.Contains(url, "?") {
			separator = "?"
		}
		if my.engine == "mariadb" {
			parameter = strings.Replace(parameter, "transaction_isolation=", "tx_isolation=", 1)
		}
		url += separator + parameter
	}
	return url
}

func (my *myBench) must(err error) {
	my.Helper()
	if err != nil {
		my.Fatal(err)
	}
}

func (my *myBench) exec(on execer, query string, args ...any) {
	my.Helper()
	if _, err := on.ExecContext(my.Context(), query, args...); err != nil {
		my.Fatalf("%s: %v", query, err)
	}
}

func (my *myBench) begin(level sql.IsolationLevel) *sql.Tx {
	my.Helper()
	tx, err := my.db.BeginTx(my.Context(), &sql.TxOptions{Isolation: level})
	my.must(err)
	my.Cleanup(func() { tx.Rollback() })
	return tx
}

func (my *myBench) lease(ttl time.Duration) string {
	my.Helper()
	id := rand.Text()
	my.must(my.d.CreateLease(my.Context(), dialect.Lease{ID: id, Holder: "test", TTL: ttl}))
	return id
}

func (my *myBench) request(name string) dialect.Request {
	my.Helper()
	return dialect.Request{Key: dialect.Key{Name: name}, LeaseID: my.lease(time.Minute), Owner: rand.Text()}
}

func (my *myBench) acquire(d dialect.Dialect, r dialect.Request) dialect.Grant {
	my.Helper()
	grants, err := d.Acquire(my.Context(), []dialect.Request{r})
	my.must(err)
	return grants[0]
}

func (my *myBench) release(r dialect.Request) {
	my.Helper()
	released, err := my.d.Release(my.Context(), []dialect.Claim{myClaim(r)})
	my.must(err)
	if !released[0] {
		my.Fatalf("Release of %q found another owner", r.Name)
	}
}

func (my *myBench) guard(tx *sql.Tx, r dialect.Request) {
	my.Helper()
	guarded, err := my.d.Guard(my.Context(), dialect.SQL(tx), []dialect.Claim{myClaim(r)})
	my.must(err)
	if !guarded[0] {
		my.Fatal("Guard refused the lock's owner")
	}
}

func myClaim(r dialect.Request) dialect.Claim { return dialect.Claim{Key: r.Key, Owner: r.Owner} }

// number returns the error's number if it comes from the server, and 0 otherwise.
func number(err error) uint16 {
	if server, ok := errors.AsType[*driver.MySQLError](err); ok {
		return server.Number
	}
	return 0
}

var myLevels = map[string]sql.IsolationLevel{
	"READ-COMMITTED":  sql.LevelReadCommitted,
	"REPEATABLE-READ": sql.LevelRepeatableRead,
	"SERIALIZABLE":    sql.LevelSerializable,
}

// Only a release waits for a guard, at every isolation level of the guarded transaction and of the
// other session.
func TestMySQLNobodyWaitsForAGuard(t *testing.T) {
	eachMySQL(t, func(t *testing.T, my *myBench) {
		for name := range myLevels {
			d := mysql.New(my.open("transaction_isolation='"+name+"'", "innodb_lock_wait_timeout=5"))
			for _, level := range myLevels {
				held, other := my.request("b"+rand.Text()), my.request("a"+rand.Text())
				dead := my.lease(time.Microsecond)
				deadHolder := held
				deadHolder.Name, deadHolder.LeaseID, deadHolder.Owner = "c"+rand.Text(), dead, rand.Text()
				my.acquire(d, held)
				fence := my.acquire(d, deadHolder).Fence
				tx := my.begin(level)
				my.guard(tx, held)
				my.guard(tx, deadHolder)
				start := time.Now()
				for range 3 {
					again := held
					again.Owner = rand.Text()
					if my.acquire(d, again).Granted {
						t.Error("a held lock was granted while a transaction guards it")
					}
				}
				if !my.acquire(d, other).Granted { // a new name, in a gap beside the guarded ones
					t.Error("a lock of a new name was not granted")
				}
				freed, err := d.Free(t.Context(), []dialect.DeadHolder{
					{Key: deadHolder.Key, Fence: fence, LeaseID: dead},
				})
				my.must(err)
				_, err = d.Purge(t.Context(), 0, 100)
				my.must(err)
				expiries, err := d.ExpireLeases(t.Context(), []string{dead})
				my.must(err)
				if took := time.Since(start); took > time.Second || freed[0] || !expiries[0].Dead {
					t.Errorf("a session under %s, beside a guard under %s: took %s, freed %t, expiry %+v",
						name, level, took, freed[0], expiries[0])
				}
				my.must(tx.Commit())
			}
		}
	})
}

// While another transaction is changing the row, Acquire waits for its end and returns the result.
// It must not report the lock as held because the row is locked: a caller that repeats a request,
// since its reply was lost, must not get a refusal while the first request is still in flight.
func TestMySQLAcquireBesideAnother(t *testing.T) {
	const take = "UPDATE sqllock_locks SET lease_id = ?, owner = ?, fence = fence + 1 WHERE name = ?"
	const insert = "INSERT INTO sqllock_locks " +
		"(name, slot, fence, lease_id, owner, note, acquired_at, free_at, lock_delay) " +
		"VALUES (?, 0, 1, ?, ?, '', UTC_TIMESTAMP(6), UTC_TIMESTAMP(6), 0)"
	eachMySQL(t, func(t *testing.T, my *myBench) {
		for _, existed := range []bool{true, false} {
			for _, c := range []struct {
				what        string
				own, commit bool
				want        bool
			}{
				{"our own request, committed", true, true, true},
				{"our own request, rolled back", true, false, true},
				{"another's, committed", false, true, false},
				{"another's, rolled back", false, false, true},
			} {
				r := my.request(rand.Text())
				if existed {
					my.acquire(my.d, r)
					my.release(r)
				}
				owner := rand.Text()
				if c.own {
					owner = r.Owner
				}
				tx := my.begin(0)
				if existed {
					my.exec(tx, take, r.LeaseID, owner, r.Name)
				} else {
					my.exec(tx, insert, r.Name, r.LeaseID, owner)
				}
				result := make(chan dialect.Grant, 1)
				go func() {
					grants, err := my.d.Acquire(t.Context(), []dialect.Request{r})
					if err != nil {
						t.Error(err)
						grants = make([]dialect.Grant, 1)
					}
					result <- grants[0]
				}()
				select {
				case got := <-result:
					t.Errorf("%s, row existed %t: Acquire returned %+v before the other transaction ended",
						c.what, existed, got)
					continue
				case <-time.After(100 * time.Millisecond):
				}
				end := tx.Rollback
				if c.commit {
					end = tx.Commit
				}
				my.must(end())
				if got := <-result; got.Granted != c.want {
					t.Errorf("%s, row existed %t: Acquire returned %+v, want granted %t", c.what, existed, got, c.want)
				}
			}
		}
	})
}

// ExpireLeases waits for a heartbeat that was sent in time and is still in flight, and returns what
// that has decided. A heartbeat that was delayed for longer doesn't shorten a lease that a later
// heartbeat has renewed.
func TestMySQLLateHeartbeats(t *testing.T) {
	eachMySQL(t, func(t *testing.T, my *myBench) {
		for _, commit := range []bool{true, false} {
			id := my.lease(time.Microsecond)
			tx := my.begin(0)
			my.exec(tx, "UPDATE sqllock_leases SET expires_at = UTC_TIMESTAMP(6) + INTERVAL 1 HOUR WHERE id = ?", id)
			result := make(chan dialect.Expiry, 1)
			go func() {
				expiries, err := my.d.ExpireLeases(t.Context(), []string{id})
				if err != nil {
					t.Error(err)
					expiries = make([]dialect.Expiry, 1)
				}
				result <- expiries[0]
			}()
			select {
			case got := <-result:
				t.Fatalf("ExpireLeases returned %+v before the heartbeat ended", got)
			case <-time.After(100 * time.Millisecond):
			}
			end := tx.Rollback
			if commit {
				end = tx.Commit
			}
			my.must(end())
			if got := <-result; got.Dead == commit || commit && got.Remaining < time.Hour-time.Minute {
				t.Errorf("ExpireLeases, after a heartbeat that committed %t, returned %+v", commit, got)
			}
		}
		id := my.lease(time.Minute)
		// The row looks as if the next heartbeat had been delayed for an hour.
		my.exec(my.db, "UPDATE sqllock_leases SET expires_at = UTC_TIMESTAMP(6) + INTERVAL 1 HOUR, "+
			"renewed_at = UTC_TIMESTAMP(6) + INTERVAL 1 HOUR WHERE id = ?", id)
		renewed, err := my.d.RenewLeases(t.Context(), []string{id})
		my.must(err)
		expiries, err := my.d.ExpireLeases(t.Context(), []string{id})
		my.must(err)
		if !renewed[0] || expiries[0].Remaining < time.Hour-time.Minute {
			t.Errorf("renewed %t, then %+v; want an hour to remain", renewed[0], expiries[0])
		}
	})
}
