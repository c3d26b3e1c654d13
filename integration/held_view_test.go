//go:build unix

package integration

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/integration/servers"
	"github.com/sqllock/sqllock/migrations"
	"github.com/sqllock/sqllock/open"
	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/election"
	"github.com/sqllock/sqllock/sqllock/once"
	"github.com/sqllock/sqllock/sqllock/sqllocktest/locktest"
)

// The view sqllock_held shows a reader what a Client lists, for each kind of lock.
func TestHeldView(t *testing.T) {
	c := buildSqllock(t)
	servers.Every(t, func(t *testing.T, s *servers.Server) {
		s.Lacking(t)
		v := newHeldView(t, c, s)
		first, second := v.client("first"), v.client("second")
		v.holdAll(first, second)
		v.queueFor(second, v.client("third"))
		v.leaveDead("expired", "UPDATE sqllock_leases SET expires_at = created_at WHERE holder = 'expired'")
		v.leaveDead("gone", "DELETE FROM sqllock_leases WHERE holder = 'gone'")

		shown, listed := v.read(), 0
		for info, err := range first.Locks(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			listed++
			v.compare(info, shown, first)
		}
		if len(shown) != listed || listed < 14 {
			t.Errorf("the view has %d rows, and a Client lists %d locks", len(shown), listed)
		}
	})
}

// heldView is a database whose view is read as the role reader.
type heldView struct {
	*testing.T
	target *open.Database // as an account that may do everything
	reader *open.Database
	view   string // its name for the reader
}

// newHeldView makes the tables in a way that shows on what the view must not depend. On PostgreSQL
// they are in a schema of their own, which isn't in the reader's search_path. On MySQL the account
// that made them is gone, as after a restore on another server.
func newHeldView(t *testing.T, c lockCommand, s *servers.Server) *heldView {
	t.Helper()
	v := &heldView{T: t, view: "sqllock_held"}
	admin := s.Database(t)
	switch {
	case strings.HasPrefix(s.Engine, "postgres"):
		execute(t, connect(t, admin), "CREATE SCHEMA apart")
		v.view, admin = "apart."+v.view, withParameters(admin, "search_path=apart")
		v.migrate(admin)
	case s.Engine == "mysql" || s.Engine == "mariadb":
		v.migrateAsNobody(admin)
	default:
		v.migrate(admin)
	}
	v.target = connect(t, admin)
	if s.Engine == "sqlite" {
		v.reader = connect(t, admin)
		return v
	}
	account := c.account(t, admin, "reader")
	v.reader = connect(t, strings.ReplaceAll(account, "search_path=apart", "search_path=pg_catalog"))
	if strings.HasPrefix(s.Engine, "postgres") { // the right to the view is enough there
		u, err := url.Parse(account)
		if err != nil {
			t.Fatal(err)
		}
		name := u.User.Username()
		execute(t, v.target, "REVOKE ALL ON ALL TABLES IN SCHEMA apart FROM "+name,
			"GRANT SELECT ON sqllock_held TO "+name)
	}
	return v
}

func (v *heldView) migrate(database string) {
	v.Helper()
	target := connect(v, database)
	if err := migrations.Up(v.Context(), target.DB, target.Migrations); err != nil {
		v.Fatal(err)
	}
}

// migrateAsNobody makes the tables as an account that it drops afterwards.
func (v *heldView) migrateAsNobody(database string) {
	v.Helper()
	u, err := url.Parse(database)
	if err != nil {
		v.Fatal(err)
	}
	admin, name := connect(v, database), "sqllock_"+strings.ToLower(rand.Text()[:10])
	execute(v, admin, "CREATE USER "+name+"@'%' IDENTIFIED BY 'p'",
		"GRANT ALL ON `"+strings.TrimPrefix(u.Path, "/")+"`.* TO "+name+"@'%'")
	u.User = url.UserPassword(name, "p")
	v.migrate(u.String())
	execute(v, admin, "DROP USER "+name+"@'%'")
}

func (v *heldView) client(holder string) *sqllock.Client {
	v.Helper()
	return client(v, v.target, sqllock.Options{Holder: holder, TTL: time.Minute})
}

// holdAll holds a lock of each kind.
func (v *heldView) holdAll(first, second *sqllock.Client) {
	v.Helper()
	mustTry(v, first, "lock", sqllock.WithNote(`build 7 \ "é"`))
	mustTry(v, first, "book", locktest.Shared)
	mustTry(v, second, "book", locktest.Shared)
	mustTry(v, first, "draft", locktest.Writer)
	for range 2 {
		mustTry(v, first, "pool", locktest.Permits(2))
	}
	began := make(chan struct{}, 2)
	e, err := election.New(first, "scheduler")
	if err != nil {
		v.Fatal(err)
	}
	v.background(func(ctx context.Context) {
		_ = e.Run(ctx, func(ctx context.Context, _ *election.Term) error {
			began <- struct{}{}
			<-ctx.Done()
			return nil
		})
	})
	v.background(func(ctx context.Context) {
		_, _ = once.Do(ctx, first, "invoice", func(ctx context.Context, _ *sqllock.Lock) ([]byte, error) {
			began <- struct{}{}
			<-ctx.Done()
			return nil, ctx.Err()
		})
	})
	for range 2 {
		select {
		case <-began:
		case <-time.After(stepTimeout):
			v.Fatal("no leader, or the work for the key didn't begin")
		}
	}
	// the other slots: a request to hand over, a vote in a quorum, and one of a newer version
	lease := dialect.Lease{ID: rand.Text(), Holder: "other", TTL: time.Minute}
	if err := v.target.Dialect.CreateLease(v.Context(), lease); err != nil {
		v.Fatal(err)
	}
	for _, slot := range []int{1<<20 + 3, 1<<20 + 4, 1<<20 + 99} {
		grants, err := v.target.Dialect.Acquire(v.Context(), []dialect.Request{{
			Key: dialect.Key{Name: "other", Slot: slot}, LeaseID: lease.ID, Owner: rand.Text(),
		}})
		if err != nil || !grants[0].Granted {
			v.Fatal(grants, err)
		}
	}
}

// queueFor lets c and other wait for a lock of each kind that has waiters. What waits for "lock"
// holds another one meanwhile, so it is also in the queue for the detection of deadlocks.
func (v *heldView) queueFor(c, other *sqllock.Client) {
	v.Helper()
	holding := mustTry(v, c, "held meanwhile")
	v.background(func(ctx context.Context) { _, _ = c.Acquire(ctx, "lock", sqllock.Holding(holding)) })
	v.background(func(ctx context.Context) { _, _ = c.RWLock("book").Acquire(ctx) })
	await(v, "a writer that has its row and waits for the readers", stepTimeout, func() bool {
		holders, err := c.RWLock("book").Holders(v.Context())
		return err == nil && len(holders) == 3
	})
	v.background(func(ctx context.Context) { _, _ = other.RWLock("book").AcquireShared(ctx) })
	v.background(func(ctx context.Context) { _, _ = c.RWLock("draft").AcquireShared(ctx) })
	v.background(func(ctx context.Context) { _, _ = c.Semaphore("pool", 2).Acquire(ctx) })
	for _, name := range []string{"lock", "book", "draft", "pool"} {
		await(v, "a waiter for "+name, stepTimeout, func() bool {
			queue, err := c.Queue(v.Context(), name)
			return err == nil && len(queue) == 1
		})
	}
	await(v, "the waiter that holds something", stepTimeout, func() bool {
		found, err := v.target.Dialect.WaitingHolders(v.Context(), 0, 10)
		return err == nil && len(found) > 0
	})
}

// background runs f until the test ends.
func (v *heldView) background(f func(ctx context.Context)) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(ctx)
	}()
	v.Cleanup(func() {
		cancel()
		<-done
	})
}

// leaveDead leaves a lock whose holder is dead once the statement has run.
func (v *heldView) leaveDead(holder, statement string) {
	v.Helper()
	mustTry(v, v.client(holder), holder)
	execute(v, v.target, statement)
}

// heldKey identifies a row of the view. Two permits, or two readers, may have one fence.
type heldKey struct {
	name, kind, holder string
	fence              int64
}

// heldRow is the rest of the row.
type heldRow struct {
	note    string
	since   time.Time
	left    float64
	waiters int
}

// read returns the rows of the view.
func (v *heldView) read() map[heldKey]heldRow {
	v.Helper()
	rows, err := v.reader.DB.QueryContext(v.Context(),
		"SELECT name, kind, holder, since, lease_left, waiters, fence, note FROM "+v.view)
	if err != nil {
		v.Fatal(err)
	}
	defer rows.Close()
	all := make(map[heldKey]heldRow)
	for rows.Next() {
		var k heldKey
		var r heldRow
		var holder sql.NullString
		var since any
		if err := rows.Scan(&k.name, &k.kind, &holder, &since, &r.left, &r.waiters, &k.fence, &r.note); err != nil {
			v.Fatal(err)
		}
		k.holder, r.since = holder.String, v.timeOf(since)
		all[k] = r
	}
	if err := rows.Err(); err != nil {
		v.Fatal(err)
	}
	return all
}

// timeOf returns the time that a driver returns as a time, or as text in UTC.
func (v *heldView) timeOf(value any) time.Time {
	v.Helper()
	if text, ok := value.([]byte); ok {
		value = string(text)
	}
	text, ok := value.(string)
	if !ok {
		return value.(time.Time)
	}
	at, err := time.Parse("2006-01-02 15:04:05.999999", text)
	if err != nil {
		v.Fatal(err)
	}
	return at
}

// compare checks that the view shows a lock as a Client lists it.
func (v *heldView) compare(info sqllock.Info, shown map[heldKey]heldRow, c *sqllock.Client) {
	v.Helper()
	queue, err := c.Queue(v.Context(), info.Name)
	if err != nil {
		v.Fatal(err)
	}
	key := heldKey{name: info.Name, kind: string(info.Kind), holder: info.Holder, fence: info.Fence}
	switch {
	case info.Kind == sqllock.KindSemaphore:
		key.kind += fmt.Sprintf(" #%d", info.Permit)
	case info.Shared:
		key.kind += ", reader"
	case info.Kind == sqllock.KindRWLock:
		key.kind += ", writer"
	}
	got, there := shown[key]
	if !there {
		v.Errorf("the view hasn't %+v; it has %+v", key, shown)
		return
	}
	want := heldRow{note: info.Note}
	for _, w := range queue {
		if w.Kind == info.Kind {
			want.waiters++
		}
	}
	live := info.State == sqllock.StateHeld
	if live != (got.left > 0) || got.left > time.Minute.Seconds() {
		v.Errorf("%s: %v seconds are left, and it is %s", info.Name, got.left, info.State)
	}
	if late := got.since.Sub(info.Since).Abs(); late > time.Millisecond {
		v.Errorf("%s: since %s, want %s", info.Name, got.since, info.Since)
	}
	got.left, got.since = 0, time.Time{}
	if got != want {
		v.Errorf("%s is shown as %+v, want %+v", info.Name, got, want)
	}
}
