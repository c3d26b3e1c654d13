// Package enginetest has the tests that every dialect runs without a server. Package dialecttest
// has those that need one.
package enginetest

import (
	"database/sql"
	"errors"
	"io/fs"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/internal/engine"
)

// NilDB checks that every call of a dialect on a nil *sql.DB returns an error, and none panics.
func NilDB(t *testing.T, d dialect.Dialect) {
	t.Helper()
	ctx, errs := t.Context(), make(map[string]error)
	_, errs["Probe"] = d.Probe(ctx)
	errs["CreateLease"] = d.CreateLease(ctx, dialect.Lease{})
	_, errs["RenewLeases"] = d.RenewLeases(ctx, []string{"a"})
	_, errs["ExpireLeases"] = d.ExpireLeases(ctx, []string{"a"})
	_, errs["DeleteExpired"] = d.DeleteExpired(ctx, 0, 1)
	_, errs["ExpireUnrenewed"] = d.ExpireUnrenewed(ctx, make([]dialect.Renewal, 1))
	_, errs["OverlongLeases"] = d.OverlongLeases(ctx, 1)
	_, errs["EndBars"] = d.EndBars(ctx, make([]dialect.Bar, 1))
	errs["DeleteLeases"] = d.DeleteLeases(ctx, []string{"a"})
	_, errs["Acquire"] = d.Acquire(ctx, make([]dialect.Request, 1))
	_, errs["Release"] = d.Release(ctx, make([]dialect.Claim, 1))
	_, errs["Guard"] = d.Guard(ctx, nil, make([]dialect.Claim, 1))
	_, errs["AdvanceFence"] = d.AdvanceFence(ctx, make([]dialect.FenceAdvance, 1))
	_, errs["Get"] = d.Get(ctx, make([]dialect.Key, 1))
	_, errs["Free"] = d.Free(ctx, make([]dialect.DeadHolder, 1))
	_, errs["List"] = d.List(ctx, dialect.Key{}, true, 1)
	_, errs["Purge"] = d.Purge(ctx, 0, 1)
	_, errs["Enqueue"] = d.Enqueue(ctx, make([]dialect.Waiter, 1))
	_, errs["Dequeue"] = d.Dequeue(ctx, make([]dialect.Claim, 1))
	_, errs["Queue"] = d.Queue(ctx, dialect.Key{}, 1)
	_, errs["ListWaiters"] = d.ListWaiters(ctx, 0, 1)
	_, errs["WaitingHolders"] = d.WaitingHolders(ctx, 0, 1)
	_, errs["Transfer"] = d.Transfer(ctx, make([]dialect.Transfer, 1))
	_, errs["PurgeWaiters"] = d.PurgeWaiters(ctx, 1)
	_, errs["Recall"] = d.Recall(ctx, []string{"a"})
	_, errs["Remember"] = d.Remember(ctx, make([]dialect.Done, 1))
	_, errs["ClaimTx"] = d.ClaimTx(ctx, nil, []string{"a"})
	_, errs["RememberTx"] = d.RememberTx(ctx, nil, make([]dialect.Done, 1))
	_, errs["PurgeOutcomes"] = d.PurgeOutcomes(ctx, 1)
	_, errs["Break"] = d.Break(ctx, []dialect.Break{{ID: "a"}})
	_, errs["ListBreaks"] = d.ListBreaks(ctx, "a", 1)
	_, errs["PurgeBreaks"] = d.PurgeBreaks(ctx, 0, 1)
	if d, ok := d.(dialect.SessionLocker); ok {
		if _, err := d.OpenSession(ctx, dialect.SessionOptions{}); !errors.Is(err, dialect.ErrUnsupported) {
			errs["OpenSession"] = err // the engine asks the *sql.DB how to connect
		}
	}
	if d, ok := d.(dialect.TxLocker); ok {
		_, errs["LockTx"] = d.LockTx(ctx, nil, dialect.ServerLock{}, true)
	}
	if d, ok := d.(dialect.Checker); ok {
		_, errs["Check"] = d.Check(ctx)
	}
	for name, err := range errs {
		if !errors.Is(err, dialect.ErrInvalid) || d.Classify(err) != dialect.ClassPermanent {
			t.Errorf("%s: %v (class %s)", name, err, d.Classify(err))
		}
	}
}

// OneConnection checks that Probe refuses a pool of one connection before it requests any.
func OneConnection[D dialect.Dialect](t *testing.T, newDialect func(*sql.DB) D) {
	t.Helper()
	db := sql.OpenDB(engine.NoConnector{})
	t.Cleanup(func() { _ = db.Close() })
	db.SetMaxOpenConns(1)
	if _, err := newDialect(db).Probe(t.Context()); !errors.Is(err, dialect.ErrInvalid) {
		t.Errorf("MaxOpenConns 1: %v", err)
	}
}

// Files checks that each file in sql/ is one of the statements and vice versa, and that each begins
// with a comment.
func Files(t *testing.T, files fs.FS, load func(name string) string, statements []string) {
	t.Helper()
	names, err := fs.Glob(files, "sql/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		text, err := fs.ReadFile(files, name)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(string(text), "-- ") {
			t.Errorf("%s doesn't begin with a comment", name)
		}
		if !slices.Contains(statements, load(strings.TrimSuffix(strings.TrimPrefix(name, "sql/"), ".sql"))) {
			t.Errorf("%s is not used", name)
		}
	}
	if len(names) != len(statements) {
		t.Errorf("%d files and %d statements", len(names), len(statements))
	}
}

// OpenRefuses checks that open refuses each URL with a dialect.ErrInvalid that contains the given
// text and not the password, which is hunter2 in any spelling.
func OpenRefuses(t *testing.T, open func(url string) (*sql.DB, error), texts map[string]string) {
	t.Helper()
	for url, text := range texts {
		db, err := open(url)
		if err == nil {
			_ = db.Close()
			t.Errorf("%q was opened", url)
			continue
		}
		if !errors.Is(err, dialect.ErrInvalid) || !strings.Contains(err.Error(), text) {
			t.Errorf("%q: %v; want ErrInvalid with %q", url, err, text)
		}
		if strings.Contains(err.Error(), "ter2") {
			t.Errorf("%q: the error shows the password: %v", url, err)
		}
	}
}

// Texts checks that exactly the texts that fit are accepted. wide is a character that the server
// counts as one or more.
func Texts(t *testing.T, texts engine.Texts, wide string) {
	t.Helper()
	n := texts.Length(wide)
	full := strings.Repeat(wide, 255/n) + strings.Repeat("x", 255%n)
	good := dialect.Request{Key: dialect.Key{Name: full}, LeaseID: "l", Owner: "o", Note: full}
	if err := texts.CheckRequest(good); err != nil {
		t.Errorf("refused: %v", err)
	}
	for what, spoil := range map[string]func(*dialect.Request){
		"name":       func(r *dialect.Request) { r.Name += "x" },
		"note":       func(r *dialect.Request) { r.Note = strings.Repeat(wide, 255/n+1) },
		"owner":      func(r *dialect.Request) { r.Owner = strings.Repeat("o", 65) },
		"lease's id": func(r *dialect.Request) { r.LeaseID = "\xff" },
		"slot -1":    func(r *dialect.Request) { r.Slot = -1 },
		"slot 2":     func(r *dialect.Request) { r.Slot = math.MaxInt32 + 1 },
	} {
		bad := good
		spoil(&bad)
		if err := texts.CheckRequest(bad); !errors.Is(err, dialect.ErrInvalid) || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for _, bad := range []dialect.Lease{{ID: strings.Repeat("i", 65)}, {Holder: full + "x"}, {Holder: "\xff"}} {
		if err := texts.CheckLease(bad); !errors.Is(err, dialect.ErrInvalid) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}
