// Package rolling_test tests a rolling deployment: processes of the release before the newest
// migration, and of this release, work on one database.
package rolling_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sqllock/sqllock/integration/servers"
	"github.com/sqllock/sqllock/open"
	"github.com/sqllock/sqllock/sqllock"
)

func TestMain(m *testing.M) { servers.Main(m) }

const (
	ttl         = 6 * time.Second
	stepTimeout = 60 * time.Second // the limit for what must happen soon, on a busy machine
)

// releases has the paths of the worker as built from two releases.
type releases struct{ old, new string }

// built builds both workers once. The old one is this program without its newest migration, as long
// as no earlier release exists.
var built = sync.OnceValues(func() (releases, error) {
	dir, err := os.MkdirTemp("", "sqllock-rolling-")
	if err != nil {
		return releases{}, err
	}
	r := releases{old: filepath.Join(dir, "old"), new: filepath.Join(dir, "new")}
	source := filepath.Join(dir, "source")
	defer os.RemoveAll(source)
	if err := withoutNewestMigration(filepath.Join("..", ".."), source); err != nil {
		return r, err
	}
	return r, errors.Join(build(source, r.old), build(filepath.Join("..", ".."), r.new))
})

// withoutNewestMigration copies the program to a directory, without its newest migration and
// written for the version before.
func withoutNewestMigration(root, source string) error {
	for _, name := range []string{"adapters", "dialect", "integration", "internal", "migrations", "open", "sqllock"} {
		if err := os.CopyFS(filepath.Join(source, name), os.DirFS(filepath.Join(root, name))); err != nil {
			return err
		}
	}
	for _, name := range []string{"go.mod", "go.sum", "go.work", "go.work.sum"} {
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(source, name), text, 0o600); err != nil {
			return err
		}
	}
	files, err := filepath.Glob(filepath.Join(source, "migrations", "*", "*.up.sql"))
	if err != nil || len(files) == 0 {
		return fmt.Errorf("no migrations: %w", err)
	}
	var newest int
	number := func(file string) (n int) {
		n, _ = strconv.Atoi(filepath.Base(file)[:4])
		return n
	}
	for _, file := range files {
		newest = max(newest, number(file))
	}
	for _, file := range files {
		if number(file) == newest {
			down := strings.TrimSuffix(file, ".up.sql") + ".down.sql"
			if err := errors.Join(os.Remove(file), os.Remove(down)); err != nil {
				return err
			}
		}
	}
	const method = "SchemaVersion() uint { return %d }"
	dialects, err := filepath.Glob(filepath.Join(source, "dialect", "*", "dialect.go"))
	if err != nil || len(dialects) == 0 {
		return fmt.Errorf("no dialects: %w", err)
	}
	for _, file := range dialects {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		older := strings.Replace(string(text), fmt.Sprintf(method, newest), fmt.Sprintf(method, newest-1), 1)
		if older == string(text) {
			return fmt.Errorf("%s has no method "+method, file, newest)
		}
		if err := os.WriteFile(file, []byte(older), 0o600); err != nil {
			return err
		}
	}
	return nil
}

func build(source, binary string) error {
	cmd := exec.Command("go", "build", "-o", binary, "./integration/rolling/worker")
	cmd.Dir = source
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build in %s: %w: %s", source, err, out)
	}
	return nil
}

func bothReleases(t *testing.T) releases {
	t.Helper()
	r, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// process is a worker.
type process struct {
	*exec.Cmd
	in  io.Closer
	out *bufio.Reader
	log *bytes.Buffer
}

// start runs a worker until it is ready. It returns the version of the tables and the version that
// the worker was written for.
func start(t *testing.T, binary, url string, number int, keep string) (p process, tables, own int) {
	t.Helper()
	p.log = &bytes.Buffer{}
	p.Cmd = exec.Command(binary, "-url", url, "-worker", fmt.Sprint(number), "-keep", keep, "-ttl", ttl.String())
	p.Stderr = p.log
	in, err := p.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.in, p.out = in, bufio.NewReader(out)
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.Process.Kill() // the worker may have ended
		_ = p.Wait()
	})
	line := p.line(t)
	if _, err := fmt.Sscanf(line, "ready %d %d", &tables, &own); err != nil {
		_ = p.Wait()
		t.Fatalf("worker %d of the %s release isn't ready; its output is %q: %s",
			number, filepath.Base(binary), line, p.log)
	}
	return p, tables, own
}

// line returns the next line that the worker prints.
func (p process) line(t *testing.T) string {
	t.Helper()
	hang := time.AfterFunc(stepTimeout, func() { _ = p.Process.Kill() })
	defer hang.Stop()
	line, _ := p.out.ReadString('\n') // the line is empty if the worker has ended
	return line
}

// end stops the worker, and returns how many jobs it has done.
func (p process) end(t *testing.T) (jobs int) {
	t.Helper()
	_ = p.in.Close() // the worker may have ended by itself
	line := p.line(t)
	if _, err := fmt.Sscanf(line, "done %d", &jobs); err != nil {
		_ = p.Wait()
		t.Errorf("a worker hasn't ended as it should; its output is %q: %s", line, p.log)
	}
	return jobs
}

// kill kills the worker (kill -9).
func (p process) kill() {
	_ = p.Process.Kill()
	_ = p.Wait()
}

// TestRollingDeploy lets old processes continue while a new one migrates, and starts further old
// ones beside it. Each release takes over the locks of the other's dead processes. The ledger that
// the locks protect shows no gap.
func TestRollingDeploy(t *testing.T) {
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		r, url := bothReleases(t), s.Database(t)
		if s.Provider == "embedded" { // on a slow disk the workers' own transactions wait for long
			url += "?_busy_timeout=60000"
		}
		target, err := open.URL(url)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = target.DB.Close() }()
		_, err = target.DB.ExecContext(t.Context(), "CREATE TABLE ledger "+
			"(account BIGINT NOT NULL, line BIGINT NOT NULL, worker BIGINT NOT NULL, fence BIGINT NOT NULL)")
		if err != nil {
			t.Fatal(err)
		}

		first, before, oldVersion := start(t, r.old, url, 1, "kept/old")
		if before != oldVersion {
			t.Fatalf("the old release has created tables of version %d; want its own version %d", before, oldVersion)
		}
		migrating, after, newVersion := start(t, r.new, url, 2, "kept/new")
		if after != newVersion || newVersion <= oldVersion {
			t.Fatalf("the new release, of version %d, has migrated from version %d to %d",
				newVersion, before, after)
		}
		second, found, _ := start(t, r.old, url, 3, "")
		if found != after {
			t.Errorf("an old process that started later found tables of version %d, want %d", found, after)
		}
		third, _, _ := start(t, r.new, url, 4, "")

		locks, err := sqllock.New(t.Context(), target.Dialect, &sqllock.Options{ReapEvery: -1})
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := locks.Close(t.Context()); err != nil {
				t.Error(err)
			}
		}()
		for range 20 {
			for _, name := range []string{"kept/old", "kept/new"} {
				wantKept(t, locks, name)
			}
			time.Sleep(50 * time.Millisecond)
		}

		first.kill()
		lock, err := locks.Acquire(t.Context(), "kept/old")
		if err != nil {
			t.Fatal("taking over from an old process that was killed:", err)
		}
		defer func() {
			if err := lock.Release(t.Context()); err != nil {
				t.Error(err)
			}
		}()
		migrating.kill()
		third.kill()
		time.Sleep(ttl + ttl/10) // until the leases of the new processes have expired
		nextHolder, _, _ := start(t, r.old, url, 5, "kept/new")
		if n := count(t, target, "worker IN (1, 3)"); n == 0 {
			t.Error("the old processes have done no job beside the new ones")
		}
		old := second.end(t) + nextHolder.end(t)
		if n := count(t, target, "worker IN (2, 4)"); n == 0 || old == 0 {
			t.Errorf("the new processes have done %d jobs, the old ones that are left %d", n, old)
		}
		checkLedger(t, target)
	})
}

func count(t *testing.T, target *open.Database, which string) (n int) {
	t.Helper()
	if err := target.DB.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM ledger WHERE "+which).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// checkLedger checks that each account's lines and fences grow. Only the locks keep two workers
// from writing the same line, and a late worker from writing after its successor.
func checkLedger(t *testing.T, target *open.Database) {
	t.Helper()
	rows, err := target.DB.QueryContext(t.Context(),
		"SELECT account, line, worker, fence FROM ledger ORDER BY account, line, fence")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var account, line, fence int64 = -1, 0, 0
	for rows.Next() {
		var a, l, w, f int64
		if err := rows.Scan(&a, &l, &w, &f); err != nil {
			t.Fatal(err)
		}
		if a != account {
			account, line, fence = a, 0, 0
		}
		if l != line+1 || f <= fence {
			t.Errorf("account %d: line %d with fence %d, by worker %d, follows line %d with fence %d",
				a, l, f, w, line, fence)
		}
		line, fence = l, f
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
}

// wantKept checks that the lock can't be had. A database that doesn't answer in the seconds that
// TryAcquire waits, as SQLite's on a slow disk, is asked again.
func wantKept(t *testing.T, locks *sqllock.Client, name string) {
	t.Helper()
	for try := 1; ; try++ {
		lock, err := locks.TryAcquire(t.Context(), name)
		switch {
		case errors.Is(err, sqllock.ErrNotAcquired):
			return
		case lock != nil || try == 5:
			t.Fatalf("TryAcquire of %q, which a process of the release keeps: %v, %v", name, lock, err)
		}
	}
}
