package servers

import (
	"context"
	"database/sql"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// Standby makes an asynchronous streaming standby of a PostgreSQL server, and blocks until it has all that the
// primary has. Its URL is the same database on the standby. Another engine, or a PostgreSQL without pg_basebackup,
// fails the test.
func (i *Instance) Standby(t testing.TB) *Instance {
	t.Helper()
	l := i.local
	if l.engine.scheme != "postgres" {
		t.Fatalf("servers: a standby is made of PostgreSQL, not of %s", l.engine.name)
	}
	backup := filepath.Join(l.program.bin, "pg_basebackup")
	if _, err := os.Stat(backup); err != nil {
		t.Fatalf("servers: a standby of %s needs pg_basebackup: %v", l.engine.name, err)
	}
	dir, err := newDir(l.engine.name + "-standby")
	if err != nil {
		t.Fatal(err)
	}
	_, err = runAsServer(backup, "-D", filepath.Join(dir, "data"), "-d", "host=127.0.0.1 user=postgres port="+strconv.Itoa(l.port),
		"--checkpoint=fast", "--wal-method=stream", "--write-recovery-conf", "--no-sync")
	if err != nil {
		t.Fatalf("copying the primary: %v", err)
	}
	copied, err := launchOn(l.engine, l.program, dir, *l)
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

// CatchUp blocks until the standby has replayed all that the primary has committed so far.
func (i *Instance) CatchUp(t testing.TB, primary *Instance) {
	t.Helper()
	var lsn string
	primary.query(t, &lsn, "SELECT pg_current_wal_lsn()::text")
	i.await(t, "replayed "+lsn, "SELECT pg_last_wal_replay_lsn() >= $1::pg_lsn", lsn)
}

// Detach ends the standby's replication: what the primary commits from now on, it misses.
func (i *Instance) Detach(t testing.TB) {
	t.Helper()
	for _, statement := range []string{"ALTER SYSTEM SET primary_conninfo = ''", "SELECT pg_reload_conf()"} {
		if err := i.local.engine.exec(t.Context(), i.local.root, statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	i.await(t, "left its primary", "SELECT NOT EXISTS (SELECT FROM pg_stat_wal_receiver)")
}

// Promote makes the standby a primary, and blocks until it takes writes.
func (i *Instance) Promote(t testing.TB) {
	t.Helper()
	i.await(t, "promoted", "SELECT pg_promote(wait => true, wait_seconds => 30)")
	i.await(t, "took writes", "SELECT NOT pg_is_in_recovery()")
}

func (i *Instance) query(t testing.TB, answer any, query string, args ...any) {
	t.Helper()
	db, err := i.local.engine.open(i.local.root)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := db.QueryRowContext(ctx, query, args...).Scan(answer); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

// await asks until the answer is true: the server tells of none of this by itself.
func (i *Instance) await(t testing.TB, what, query string, args ...any) {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		var ok sql.NullBool
		if i.query(t, &ok, query, args...); ok.Bool {
			return
		}
	}
	t.Fatalf("the standby hasn't %s within %v", what, patience)
}
