package integration

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/dialecttest/long"
	"github.com/sqllock/sqllock/dialect/mysql"
	"github.com/sqllock/sqllock/integration/servers"
)

// Many callers compete for few names, with guards, takeovers and the reaper among them. There is no
// deadlock, and not a line in the server's log.
func TestMySQLContention(t *testing.T) {
	t.Parallel()
	for _, engine := range servers.OneOfEachKind(t, "mysql", "mariadb") {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			server := servers.Private(t, engine)
			prepare(t, server.URL)
			my := newMyBench(t, engine, server.URL)
			for name := range myLevels {
				my.contend(name, server.Log(), false)
			}
			my.contend("REPEATABLE-READ", server.Log(), true)
		})
	}
}

func (my *myBench) contend(level, log string, purging bool) {
	db := my.open("transaction_isolation='" + level + "'")
	db.SetMaxOpenConns(20)
	db.SetMaxIdleConns(20)
	d := mysql.New(db)
	if _, err := d.Probe(my.Context()); err != nil {
		my.Fatal(err)
	}
	logged := my.size(log)
	ctx, cancel := context.WithTimeout(my.Context(), long.Or(2*time.Second, 15*time.Second))
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
		// Two callers that insert the row of a name that is just being purged may deadlock in
		// InnoDB. No others do.
		if class := d.Classify(err); class != dialect.ClassTransient || number(err) == 1213 && !purging {
			my.Errorf("%s under %s: %v (class %s)", what, level, err, class)
		}
	}
	for range 8 {
		group.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				my.step(d, db, fmt.Sprintf("contended/%d", i%3), count)
			}
		})
	}
	group.Go(func() {
		for ; ctx.Err() == nil; time.Sleep(5 * time.Millisecond) {
			_, err := d.DeleteExpired(my.Context(), 0, 10)
			count("delete expired", err)
			if purging {
				_, err = d.Purge(my.Context(), 0, 10)
				count("purge", err)
			}
		}
	})
	group.Wait()
	my.Logf("%s: %v", level, counts)
	if counts["granted"] == 0 || counts["guarded"] == 0 || counts["taken over"] == 0 {
		my.Errorf("%s: too little contention for this to show anything: %v", level, counts)
	}
	text, err := os.ReadFile(log)
	my.must(err)
	if lines := strings.TrimSpace(string(text[logged:])); lines != "" {
		my.Errorf("%s: the server has logged:\n%s", level, lines)
	}
}

// step acquires the lock, runs a guarded transaction and releases the lock. One step in a few
// leaves the lock under an expired lease instead. If the lock is held, step tries to take it over.
func (my *myBench) step(d *mysql.Dialect, db *sql.DB, name string, count func(string, error)) {
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
	guarded, err := d.Guard(ctx, dialect.SQL(tx), []dialect.Claim{myClaim(r)})
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
	rows, err := d.Get(ctx, []dialect.Key{{Name: name}})
	count("get", err)
	if err != nil || !rows[0].Held {
		return
	}
	expiries, err := d.ExpireLeases(ctx, []string{rows[0].LeaseID})
	count("expire", err)
	if err != nil || !expiries[0].Dead {
		return
	}
	dead := dialect.DeadHolder{Key: rows[0].Key, Fence: rows[0].Fence, LeaseID: rows[0].LeaseID}
	freed, err := d.Free(ctx, []dialect.DeadHolder{dead})
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
