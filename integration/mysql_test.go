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
	for _, engine := range []string{"mysql", "mariadb"} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			f(t, newMyBench(t, engine, database(t, servers.Start(t, engine))))
		})
	}
}

// myBench is a dialect on a migrated database, and the means to look behind it.
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

// dialect is one with sessions, for a pool with the same parameters.
func (my *myBench) dialect(db *sql.DB, parameters ...string) *mysql.Dialect {
	my.Helper()
	connector, err := mysql.Connector(my.with(parameters...))
	my.must(err)
	return mysql.New(db, mysql.WithConnector(connector))
}

// open opens another pool, with more parameters in its URL.
func (my *myBench) open(parameters ...string) *sql.DB {
	my.Helper()
	db, err := mysql.Open(my.with(parameters...))
	my.must(err)
	my.Cleanup(func() { db.Close() })
	return db
}

// with adds parameters to the URL. The level of isolation has a name of its own on MariaDB.
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
		my.Fatalf("the release of %q was refused", r.Name)
	}
}

func (my *myBench) guard(tx *sql.Tx, r dialect.Request) {
	my.Helper()
	guarded, err := my.d.Guard(my.Context(), tx, []dialect.Claim{myClaim(r)})
	my.must(err)
	if !guarded[0] {
		my.Fatal("Guard refused its owner")
	}
}

func myClaim(r dialect.Request) dialect.Claim { return dialect.Claim{Key: r.Key, Owner: r.Owner} }

// number is the server's error number, 0 if err isn't the server's.
func number(err error) uint16 {
	if answer, ok := errors.AsType[*driver.MySQLError](err); ok {
		return answer.Number
	}
	return 0
}

var myLevels = map[string]sql.IsolationLevel{
	"READ-COMMITTED": sql.LevelReadCommitted, "REPEATABLE-READ": sql.LevelRepeatableRead, "SERIALIZABLE": sql.LevelSerializable,
}

// Whatever the isolation of the transaction that guards and of the session that asks: nobody waits for a guard but
// the release.
func TestMySQLNobodyWaitsForAGuard(t *testing.T) {
	eachMySQL(t, func(t *testing.T, my *myBench) {
		for name := range myLevels {
			d := mysql.New(my.open("transaction_isolation='"+name+"'", "innodb_lock_wait_timeout=5"))
			for _, level := range myLevels {
				held, other, dead := my.request("b"+rand.Text()), my.request("a"+rand.Text()), my.lease(time.Microsecond)
				orphan := held
				orphan.Name, orphan.LeaseID, orphan.Owner = "c"+rand.Text(), dead, rand.Text()
				my.acquire(d, held)
				fence := my.acquire(d, orphan).Fence
				tx := my.begin(level)
				my.guard(tx, held)
				my.guard(tx, orphan)
				start := time.Now()
				for range 3 {
					again := held
					again.Owner = rand.Text()
					if my.acquire(d, again).Granted {
						t.Error("granted beside a guard")
					}
				}
				if !my.acquire(d, other).Granted { // a name that sorts between guarded ones, new
					t.Error("a new name was refused")
				}
				freed, err := d.Free(t.Context(), []dialect.Orphan{{Key: orphan.Key, Fence: fence, LeaseID: dead}})
				my.must(err)
				_, err = d.Purge(t.Context(), 0, 100)
				my.must(err)
				burials, err := d.BuryLeases(t.Context(), []string{dead})
				my.must(err)
				if took := time.Since(start); took > time.Second || freed[0] || !burials[0].Dead {
					t.Errorf("%s beside a guard under %s: %s, freed %t, %+v", name, level, took, freed[0], burials[0])
				}
				my.must(tx.Commit())
			}
		}
	})
}

// Beside somebody who is just changing the row, an acquire tells what came of it, and not that the row was locked:
// whoever sends a request again, since its reply was lost, must not be told no while the first is still at work.
func TestMySQLAcquireBesideAnother(t *testing.T) {
	const take = "UPDATE sqllock_locks SET lease_id = ?, owner = ?, fence = fence + 1 WHERE name = ?"
	const insert = "INSERT INTO sqllock_locks (name, slot, fence, lease_id, owner, note, acquired_at, free_at, lock_delay) " +
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
				answer := make(chan dialect.Grant, 1)
				go func() {
					grants, err := my.d.Acquire(t.Context(), []dialect.Request{r})
					if err != nil {
						t.Error(err)
						grants = make([]dialect.Grant, 1)
					}
					answer <- grants[0]
				}()
				select {
				case got := <-answer:
					t.Errorf("%s, row there before: %t: answered %+v before the other's end", c.what, existed, got)
					continue
				case <-time.After(100 * time.Millisecond):
				}
				end := tx.Rollback
				if c.commit {
					end = tx.Commit
				}
				my.must(end())
				if got := <-answer; got.Granted != c.want {
					t.Errorf("%s, row there before: %t: %+v, want granted %t", c.what, existed, got, c.want)
				}
			}
		}
	})
}

// A heartbeat that was sent in time and is still at work decides before a burial does; and one that was held up
// longer takes nothing back of what a later one gave.
func TestMySQLLateHeartbeats(t *testing.T) {
	eachMySQL(t, func(t *testing.T, my *myBench) {
		for _, commit := range []bool{true, false} {
			id := my.lease(time.Microsecond)
			tx := my.begin(0)
			my.exec(tx, "UPDATE sqllock_leases SET expires_at = UTC_TIMESTAMP(6) + INTERVAL 1 HOUR WHERE id = ?", id)
			answer := make(chan dialect.Burial, 1)
			go func() {
				burials, err := my.d.BuryLeases(t.Context(), []string{id})
				if err != nil {
					t.Error(err)
					burials = make([]dialect.Burial, 1)
				}
				answer <- burials[0]
			}()
			select {
			case got := <-answer:
				t.Fatalf("buried beside a heartbeat: %+v", got)
			case <-time.After(100 * time.Millisecond):
			}
			end := tx.Rollback
			if commit {
				end = tx.Commit
			}
			my.must(end())
			if got := <-answer; got.Dead == commit || commit && got.Remaining < time.Hour-time.Minute {
				t.Errorf("heartbeat committed %t: %+v", commit, got)
			}
		}
		id := my.lease(time.Minute)
		my.exec(my.db, "UPDATE sqllock_leases SET expires_at = UTC_TIMESTAMP(6) + INTERVAL 1 HOUR, "+
			"renewed_at = UTC_TIMESTAMP(6) + INTERVAL 1 HOUR WHERE id = ?", id) // as if this one's clock stood still for an hour
		renewed, err := my.d.RenewLeases(t.Context(), []string{id})
		my.must(err)
		burials, err := my.d.BuryLeases(t.Context(), []string{id})
		my.must(err)
		if !renewed[0] || burials[0].Remaining < time.Hour-time.Minute {
			t.Errorf("renewed %t, then %+v", renewed[0], burials[0])
		}
	})
}
