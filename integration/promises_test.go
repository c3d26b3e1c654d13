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
	"github.com/sqllock/sqllock/sqllock/sqllocktest/locktest"
)

// This test generates the table in docs/engines.md of the promises of each kind of lock on each
// engine. With SQLLOCK_TEST_UPDATE=1 it writes the rows of the engines that it has run. Otherwise
// it fails if the page has other rows.

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

// products are the engines' names in the page's table.
var products = map[string]string{
	"sqlite": "SQLite", "postgres15": "PostgreSQL 15", "postgres18": "PostgreSQL 18",
	"mysql": "MySQL 9", "mariadb": "MariaDB 10.11", "sqlserver": "SQL Server",
}

func TestPromises(t *testing.T) {
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		for _, k := range kinds {
			// SQLite has no sessions, and any transaction that writes is its one lock: see
			// TestTxLockContention.
			if s.Provider == "embedded" && k.name != "lease" {
				continue
			}
			t.Run(k.name, func(t *testing.T) {
				t.Parallel()
				row := []string{cmp.Or(s.Substitute(t), products[s.Engine], s.Engine), k.name}
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

// promised compares a row with the page's, or writes it to the page.
func promised(t *testing.T, row []string) {
	t.Helper()
	const page = "../docs/engines.md"
	line := "| " + strings.Join(row, " | ") + " |"
	pageLock.Lock()
	defer pageLock.Unlock()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(text, []byte(line+"\n")) {
		return
	}
	old := regexp.MustCompile(`(?m)^\| ` + regexp.QuoteMeta(row[0]+" | "+row[1]+" |") + `.*$`)
	if os.Getenv("SQLLOCK_TEST_UPDATE") == "" || !old.Match(text) {
		t.Errorf("docs/engines.md has\n%s\nbut the test found (SQLLOCK_TEST_UPDATE=1 writes it)\n%s", old.Find(text),
			line)
		return
	}
	if err := os.WriteFile(page, old.ReplaceAllLiteral(text, []byte(line)), 0o644); err != nil {
		t.Fatal(err)
	}
}

const (
	yes  = "yes"
	no   = "no"
	none = "–" // doesn't apply
)

func promisesOneHolder(tr *trial) string {
	a, b := tr.client("a"), tr.client("b")
	release := tr.take(a)
	if _, err := tr.try(b); !errors.Is(err, sqllock.ErrNotAcquired) {
		tr.Errorf("of two clients that want it, the second gets %v; want ErrNotAcquired", err)
	}
	release()
	tr.take(b)()
	return yes
}

func promisesSharing(tr *trial) string {
	a, b := tr.client("a"), tr.client("b")
	release, err := tr.try(a, locktest.Shared)
	if errors.Is(err, sqllock.ErrUnsupported) || errors.Is(err, sqllock.ErrInvalid) {
		return no
	}
	also, err := tr.try(b, locktest.Shared)
	if err != nil {
		tr.Error(err)
		return no
	}
	if _, err := tr.try(b, locktest.Writer); !errors.Is(err, sqllock.ErrNotAcquired) {
		tr.Errorf("a writer beside readers: %v; want ErrNotAcquired", err)
	}
	release()
	also()
	return yes
}

func promisesTry(tr *trial) string {
	release := tr.take(tr.client("holder"))
	defer release()
	b, stall := tr.client("b"), watchOutage(tr.T)
	began := time.Now()
	_, err := tr.try(b)
	if took, late := time.Since(began), stall(); took > ttlFor(tr, tr.server, soon)+3*late {
		tr.Errorf("a try took %s, with timers %s late at most", took, late)
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
		tr.Errorf("Acquire didn't wait: %v", err)
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
	_, err := tr.acquire(ctx, b)
	if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, sqllock.ErrNotAcquired) {
		tr.Errorf("a caller that gives up gets %v; want DeadlineExceeded and ErrNotAcquired", err)
	}
	release()
	await(tr, "the lock after the caller that gave up", stepTimeout, func() bool {
		next, err := tr.try(a)
		if err == nil {
			next()
		}
		return err == nil
	})
	return yes
}

// promisesDeath finds out when the lock of a killed process becomes free: within a second, or
// within a second after the end of its lease. The lease was renewed a third of the TTL ago at most.
func promisesDeath(tr *trial) string {
	const ttl = 3 * time.Second
	holder := start(tr, setup{URL: tr.url, Holder: "holder", TTL: ttl, KeepAlive: time.Minute, ReapEvery: -1}, nil)
	must[any](holder, "holdKind", kindArgs{Kind: tr.kind.name, Name: tr.name})
	next := tr.client("b")
	if _, err := tr.try(next); !errors.Is(err, sqllock.ErrNotAcquired) { // also opens its connections
		tr.Errorf("before the holder is killed: %v", err)
	}
	stall := watchOutage(tr.T)
	holder.kill()
	began := time.Now()
	tr.take(next)()
	took, late := time.Since(began), stall()
	switch atOnce := took < soon+3*late; {
	case took < ttl/2 && !atOnce:
		tr.Errorf("the lock of a killed process was free after %s, with a TTL of %s: neither at once nor after it",
			took, ttl)
	case took < ttl/2, atOnce && tr.kind.name != "lease": // on a busy machine the two look alike
		return "at once"
	case took > ttl+soon+3*late:
		tr.Errorf("the lock of a killed process was free after %s, with a TTL of %s; timers were %s late at most",
			took, ttl, late)
	}
	return "after its TTL"
}

// promisesNotice finds out within which time a holder that is cut off notices the loss.
func promisesNotice(tr *trial) string {
	const ttl, alive = 1500 * time.Millisecond, 3 * time.Second
	if tr.server.Provider == "embedded" || !tr.kind.context {
		return none
	}
	p, through := newProxy(tr, tr.url)
	c := client(tr, connect(tr, through), sqllock.Options{TTL: ttl, KeepAlive: alive})
	lock, err := locktest.TryTake(tr.Context(), c, tr.name, tr.kind.how...)
	if err != nil {
		tr.Fatal(err)
	}
	stall := watchOutage(tr.T)
	p.blackhole()
	cut := time.Now()
	mustEnd(tr, lock, stepTimeout)
	bound, name := ttl, "TTL"
	if len(tr.kind.how) > 0 {
		bound, name = alive, "KeepAlive"
	}
	if took, late := time.Since(cut), stall(); took > bound+2*late {
		tr.Errorf("noticed after %s, with timers %s late at most", took, late)
		return no
	}
	return name
}

// promisesRestart kills the server while a lock is held, and restarts it.
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
	await(tr, "a reply of the restarted server", stepTimeout, func() (replied bool) {
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

// promisesPooler connects through PgBouncer in transaction mode, if the engine is PostgreSQL.
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
