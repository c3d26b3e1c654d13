package servers

import (
	"context"
	"database/sql"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"
)

// Standby starts an asynchronous streaming standby of a PostgreSQL server, and blocks until it has
// all that the primary has. It has the primary's options, and those given. Its URL is the same
// database on the standby. Standby fails the test if the server isn't PostgreSQL or has no
// pg_basebackup.
func (i *Instance) Standby(t testing.TB, options ...Option) *Instance {
	t.Helper()
	l := i.local
	if l.engine.scheme != "postgres" {
		t.Fatalf("servers: only PostgreSQL can have a standby, not %s", l.engine.name)
	}
	backup := filepath.Join(l.program.bin, "pg_basebackup")
	if _, err := os.Stat(backup); err != nil {
		t.Fatalf("servers: a standby of %s needs pg_basebackup: %v", l.engine.name, err)
	}
	dir, err := newDir(l.engine.name + "-standby")
	if err != nil {
		t.Fatal(err)
	}
	_, err = runAsServer(backup, "-D", filepath.Join(dir, "data"),
		"-d", "host=127.0.0.1 user=postgres port="+strconv.Itoa(l.port),
		"--checkpoint=fast", "--wal-method=stream", "--write-recovery-conf", "--no-sync")
	if err != nil {
		t.Fatalf("copying the primary: %v", err)
	}
	wanted := local{durable: l.durable, args: slices.Clone(l.args), before: l.before}
	for _, option := range options {
		option(&wanted)
	}
	copied, err := launchOn(l.engine, l.program, dir, wanted)
	if err != nil {
		t.Fatalf("starting the standby: %v", err)
	}
	standby := attach(t, copied)
	u, err := url.Parse(i.URL)
	if err != nil {
		t.Fatal(err)
	}
	u.Host = standby.Addr()
	standby.URL = u.String()
	standby.CatchUp(t, i)
	return standby
}

// Synchronous makes a primary wait for its standby at each commit, so that a failover loses nothing
// that was acknowledged.
func (i *Instance) Synchronous(t testing.TB) {
	t.Helper()
	i.Exec(t, "ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()")
	i.await(t, "become synchronous", "SELECT EXISTS (SELECT FROM pg_stat_replication WHERE sync_state = 'sync')")
}

// CatchUp blocks until the standby has replayed everything that the primary has committed so far.
func (i *Instance) CatchUp(t testing.TB, primary *Instance) {
	t.Helper()
	var lsn string
	primary.query(t, &lsn, "SELECT pg_current_wal_lsn()::text")
	i.await(t, "replayed "+lsn, "SELECT pg_last_wal_replay_lsn() >= $1::pg_lsn", lsn)
}

// Detach ends the standby's replication: it misses what the primary commits from now on.
func (i *Instance) Detach(t testing.TB) {
	t.Helper()
	i.Exec(t, "ALTER SYSTEM SET primary_conninfo = ''", "SELECT pg_reload_conf()")
	i.await(t, "left its primary", "SELECT NOT EXISTS (SELECT FROM pg_stat_wal_receiver)")
}

// Promote makes the standby a primary, and blocks until it accepts writes.
func (i *Instance) Promote(t testing.TB) {
	t.Helper()
	i.await(t, "promoted", "SELECT pg_promote(wait => true, wait_seconds => 30)")
	i.await(t, "accepted writes", "SELECT NOT pg_is_in_recovery()")
}

func (i *Instance) query(t testing.TB, result any, query string, args ...any) {
	t.Helper()
	db, err := i.local.engine.open(i.local.root)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	ctx, cancel := context.WithTimeout(t.Context(), stepTimeout)
	defer cancel()
	if err := db.QueryRowContext(ctx, query, args...).Scan(result); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

// await polls until the query returns true. The server has no notification for any of this.
func (i *Instance) await(t testing.TB, what, query string, args ...any) {
	t.Helper()
	for deadline := time.Now().Add(stepTimeout); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		var ok sql.NullBool
		if i.query(t, &ok, query, args...); ok.Bool {
			return
		}
	}
	t.Fatalf("the server hasn't %s within %v", what, stepTimeout)
}
