package integration

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
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
	my.d = mysql.New(my.db)
	return my
}

// open opens another pool, with more parameters in its URL. The level of isolation has a name of its own on MariaDB.
func (my *myBench) open(parameters ...string) *sql.DB {
	my.Helper()
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
	db, err := mysql.Open(url)
	my.must(err)
	my.Cleanup(func() { db.Close() })
	return db
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
	var answer *driver.MySQLError
	if errors.As(err, &answer) {
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

// A crowd on few names, with guards, takeovers and the reaper among them: no deadlock, and not a line in the server's
// log.
func TestMySQLContention(t *testing.T) {
	for _, engine := range []string{"mysql", "mariadb"} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			server := servers.Private(t, engine)
			prepare(t, server.URL)
			my := newMyBench(t, engine, server.URL)
			for name := range myLevels {
				my.crowd(name, server.Log(), false)
			}
			my.crowd("REPEATABLE-READ", server.Log(), true)
		})
	}
}

func (my *myBench) crowd(level, log string, purging bool) {
	db := my.open("transaction_isolation='" + level + "'")
	db.SetMaxOpenConns(20)
	db.SetMaxIdleConns(20)
	d := mysql.New(db)
	if _, err := d.Probe(my.Context()); err != nil {
		my.Fatal(err)
	}
	logged := my.size(log)
	ctx, cancel := context.WithTimeout(my.Context(), lasting(2*time.Second, time.Minute))
	defer cancel()
	var (
		mu     sync.Mutex
		counts = map[string]int{}
		group  sync.WaitGroup
	)
	count := func(what string, err error) {
		mu.Lock()
		defer mu.Unlock()
		counts[what]++
		if err == nil {
			return
		}
		counts[fmt.Sprintf("%s: error %d", what, number(err))]++
		// Two who make the row of a name that is just being purged may deadlock in InnoDB; nobody else does.
		if class := d.Classify(err); class != dialect.Transient || number(err) == 1213 && !purging {
			my.Errorf("%s under %s: %v (class %s)", what, level, err, class)
		}
	}
	for range 8 {
		group.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				my.turn(d, db, fmt.Sprintf("crowded/%d", i%3), count)
			}
		})
	}
	group.Go(func() {
		for ; ctx.Err() == nil; time.Sleep(5 * time.Millisecond) {
			_, err := d.BuryExpired(my.Context(), 10)
			count("bury", err)
			if purging {
				_, err = d.Purge(my.Context(), 0, 10)
				count("purge", err)
			}
		}
	})
	group.Wait()
	my.Logf("%s: %v", level, counts)
	if counts["granted"] == 0 || counts["guarded"] == 0 || counts["taken over"] == 0 {
		my.Errorf("nothing was contended: %v", counts)
	}
	text, err := os.ReadFile(log)
	my.must(err)
	if said := strings.TrimSpace(string(text[logged:])); said != "" {
		my.Errorf("%s: the server's log says:\n%s", level, said)
	}
}

// turn takes the lock for a guarded transaction and lets it go; or dies, and leaves it to be taken over.
func (my *myBench) turn(d *mysql.Dialect, db *sql.DB, name string, count func(string, error)) {
	ctx := my.Context()
	r := dialect.Request{Key: dialect.Key{Name: name}, LeaseID: rand.Text(), Owner: rand.Text()}
	ttl := time.Minute
	if r.Owner[0]%4 == 0 {
		ttl = time.Microsecond
	}
	count("lease", d.CreateLease(ctx, dialect.Lease{ID: r.LeaseID, Holder: "h", TTL: ttl}))
	grants, err := d.Acquire(ctx, []dialect.Request{r})
	count("acquire", err)
	if err != nil || !grants[0].Granted {
		my.takeOver(d, name, count)
		return
	}
	count("granted", nil)
	if ttl < time.Minute {
		return
	}
	tx, err := db.BeginTx(ctx, nil)
	count("begin", err)
	if err != nil {
		return
	}
	defer tx.Rollback()
	guarded, err := d.Guard(ctx, tx, []dialect.Claim{myClaim(r)})
	count("guard", err)
	if err == nil && guarded[0] {
		count("guarded", nil)
	}
	count("commit", tx.Commit())
	_, err = d.Release(ctx, []dialect.Claim{myClaim(r)})
	count("release", err)
	count("delete", d.DeleteLeases(ctx, []string{r.LeaseID}))
}

func (my *myBench) takeOver(d *mysql.Dialect, name string, count func(string, error)) {
	ctx := my.Context()
	rows, err := d.Look(ctx, []dialect.Key{{Name: name}})
	count("look", err)
	if err != nil || !rows[0].Held {
		return
	}
	burials, err := d.BuryLeases(ctx, []string{rows[0].LeaseID})
	count("bury", err)
	if err != nil || !burials[0].Dead {
		return
	}
	freed, err := d.Free(ctx, []dialect.Orphan{{Key: rows[0].Key, Fence: rows[0].Fence, LeaseID: rows[0].LeaseID}})
	count("free", err)
	if err == nil && freed[0] {
		count("taken over", nil)
	}
}

func (my *myBench) size(path string) int64 {
	my.Helper()
	info, err := os.Stat(path)
	my.must(err)
	return info.Size()
}
