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
	"github.com/sqllock/sqllock/dialect/mysql"
	"github.com/sqllock/sqllock/integration/servers"
)

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
