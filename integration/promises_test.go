package integration

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sqllock/sqllock/integration/servers"
	"github.com/sqllock/sqllock/sqllock"
)

// The README's table of what holds where is made of what this test finds: with SQLLOCK_TEST_UPDATE=1 it writes the rows
// of the engines that it has run, and else it fails where they say something different.

// promises are the table's columns, each with its trial.
var promises = []struct {
	title string
	try   func(*trial) string
}{
	{"one holder", promisesOneHolder},
	{"shared", promisesSharing},
	{"try", promisesTry},
	{"wait", promisesWaiting},
	{"cancel leaves nothing", promisesCancel},
	{"holder killed: free", promisesDeath},
	{"loss noticed within", promisesNotice},
	{"survives a server restart", promisesRestart},
	{"through a transaction pooler", promisesPooler},
}

// products are the engines' names in the table.
var products = map[string]string{
	"sqlite": "SQLite", "postgres15": "PostgreSQL 15", "postgres18": "PostgreSQL 18", "mysql": "MySQL 9", "mariadb": "MariaDB 10.11",
	"sqlserver": "SQL Server",
}

func TestPromises(t *testing.T) {
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		for _, k := range kinds {
			if s.Provider == "embedded" && k.name != "lease" {
				continue // SQLite has no sessions, and any transaction that writes is its one lock: see TestTxLockContention
			}
			t.Run(k.name, func(t *testing.T) {
				row := []string{cmp.Or(s.StandIn(t), products[s.Engine], s.Engine), k.name}
				url := database(t, s)
				for _, p := range promises {
					tr := &trial{T: t, server: s, kind: k, url: url, name: p.title}
					row = append(row, p.try(tr))
				}
				promised(t, row)
			})
		}
	})
}

// promised compares a row with the README's, or writes it there.
func promised(t *testing.T, row []string) {
	t.Helper()
	const readme = "../README.md"
	line := "| " + strings.Join(row, " | ") + " |"
	readmeLock.Lock()
	defer readmeLock.Unlock()
	text, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(text, []byte(line+"\n")) {
		return
	}
	old := regexp.MustCompile(`(?m)^\| ` + regexp.QuoteMeta(row[0]+" | "+row[1]+" |") + `.*$`)
	if os.Getenv("SQLLOCK_TEST_UPDATE") == "" || !old.Match(text) {
		t.Errorf("the README says\n%s\nbut this is so (SQLLOCK_TEST_UPDATE=1 writes it)\n%s", old.Find(text), line)
		return
	}
	if err := os.WriteFile(readme, old.ReplaceAllLiteral(text, []byte(line)), 0o644); err != nil {
		t.Fatal(err)
	}
}

const (
	yes  = "yes"
	no   = "no"
	none = "–" // there is no such thing
)

func promisesOneHolder(tr *trial) string {
	a, b := tr.client("a"), tr.client("b")
	release := tr.take(a)
	if _, err := tr.try(b); !errors.Is(err, sqllock.ErrNotAcquired) {
		tr.Errorf("of two who want it, the second is told %v", err)
	}
	release()
	tr.take(b)()
	return yes
}

func promisesSharing(tr *trial) string {
	a, b := tr.client("a"), tr.client("b")
	release, err := tr.try(a, sqllock.Shared())
	if errors.Is(err, sqllock.ErrUnsupported) || errors.Is(err, sqllock.ErrInvalid) {
		return no
	}
	also, err := tr.try(b, sqllock.Shared())
	if err != nil {
		tr.Error(err)
		return no
	}
	if _, err := tr.try(b); !errors.Is(err, sqllock.ErrNotAcquired) {
		tr.Errorf("alone beside those who share: %v", err)
	}
	release()
	also()
	return yes
}

func promisesTry(tr *trial) string {
	release := tr.take(tr.client("holder"))
	defer release()
	began := time.Now()
	_, err := tr.try(tr.client("b"))
	if took := time.Since(began); took > soon {
		tr.Errorf("a try took %s", took)
	}
	held, _ := errors.AsType[*sqllock.HeldError](err)
	switch {
	case !errors.Is(err, sqllock.ErrNotAcquired):
		return none
	case held == nil || held.Holder == "":
		return yes
	case strings.Contains(held.Holder, "holder"):
		return "names the holder"
	}
	return "names the connection"
}

func promisesWaiting(tr *trial) string {
	a, b := tr.client("a"), tr.client("b")
	release := tr.take(a)
	got := make(chan error, 1)
	go func() {
		next, err := tr.acquire(tr.Context(), b)
		if err == nil {
			next()
		}
		got <- err
	}()
	select {
	case err := <-got:
		tr.Errorf("it didn't wait: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	release()
	if err := <-got; err != nil {
		tr.Error(err)
		return no
	}
	return yes
}

func promisesCancel(tr *trial) string {
	a, b := tr.client("a"), tr.client("b")
	release := tr.take(a)
	ctx, cancel := context.WithTimeout(tr.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := tr.acquire(ctx, b); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, sqllock.ErrNotAcquired) {
		tr.Errorf("who gives up is told %v", err)
	}
	release()
	await(tr, "the lock after who gave up", patience, func() bool {
		next, err := tr.try(a)
		if err == nil {
			next()
		}
		return err == nil
	})
	return yes
}

// promisesDeath finds out when the lock of a process that is killed can be had.
func promisesDeath(tr *trial) string {
	const ttl = 3 * time.Second
	holder := start(tr, setup{URL: tr.url, Holder: "holder", TTL: ttl, KeepAlive: time.Minute, ReapEvery: -1}, nil)
	must[any](holder, "holdKind", kindArgs{Kind: tr.kind.name, Name: tr.name})
	next := tr.client("b")
	if _, err := tr.try(next); !errors.Is(err, sqllock.ErrNotAcquired) { // also makes its connections
		tr.Errorf("before the holder is killed: %v", err)
	}
	holder.kill()
	began := time.Now()
	tr.take(next)()
	if time.Since(began) < ttl/3 {
		return "at once"
	}
	return "after its TTL"
}

// promisesNotice finds out what bounds the time until a holder who is cut off is told.
func promisesNotice(tr *trial) string {
	const ttl, alive = 1500 * time.Millisecond, 3 * time.Second
	if tr.server.Provider == "embedded" || !tr.kind.context {
		return none
	}
	p, through := newProxy(tr, tr.url)
	c := client(tr, connect(tr, through), sqllock.Options{TTL: ttl, KeepAlive: alive})
	opts := tr.kind.opts
	lock := mustTry(tr, c, tr.name, opts...)
	stall := watchStalls(tr.T)
	p.blackhole()
	cut := time.Now()
	mustEnd(tr, lock, patience)
	bound, name := ttl, "TTL"
	if len(opts) > 0 {
		bound, name = alive, "KeepAlive"
	}
	if took, late := time.Since(cut), stall(); took > bound+late {
		tr.Errorf("noticed after %s, with timers %s late at most", took, late)
		return no
	}
	return name
}

// promisesRestart kills the server under a lock, and starts it again.
func promisesRestart(tr *trial) string {
	if tr.server.Provider == "embedded" {
		return none
	}
	if !slices.Contains(serverEngines, tr.server.Engine) {
		return "not tried"
	}
	server := servers.Private(tr, tr.server.Engine, servers.Durable())
	prepare(tr, server.URL)
	target := connect(tr, server.URL)
	c := client(tr, target, sqllock.Options{TTL: time.Minute, KeepAlive: time.Minute})
	held := &trial{T: tr.T, server: tr.server, kind: tr.kind, url: server.URL, name: tr.name}
	held.take(c)
	server.Kill()
	server.Restart()
	var next func()
	await(tr, "an answer of the restarted server", patience, func() (answered bool) {
		var err error
		next, err = held.try(held.client("next"))
		return err == nil || errors.Is(err, sqllock.ErrNotAcquired)
	})
	if next == nil {
		return yes
	}
	next()
	return no
}

// promisesPooler puts PgBouncer in transaction mode in between, where there is such a thing.
func promisesPooler(tr *trial) string {
	if !strings.HasPrefix(tr.server.Engine, "postgres") {
		return none
	}
	through := *tr
	through.url = servers.PgBouncer(tr, tr.url).URL
	a, b := through.client("a"), through.client("b")
	release, err := through.try(a)
	if errors.Is(err, sqllock.ErrUnsupported) {
		return "refused"
	}
	if _, other := through.try(b); err != nil || !errors.Is(other, sqllock.ErrNotAcquired) {
		tr.Errorf("through PgBouncer: %v, %v", err, other)
		return no
	}
	release()
	return yes
}
