package integration

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/sqllock/sqllock/integration/servers"
	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/sqllocktest/locktest"
)

// kind is a kind of lock, for the trials of what it promises.
type kind struct {
	name    string
	tx      bool  // the caller's transaction holds it
	context bool  // its Context reports its loss
	how     []any // for locktest.Take
}

var kinds = []kind{
	{name: "lease", context: true},
	{name: "session", context: true, how: []any{locktest.Session}},
	{name: "transaction", tx: true},
}

// trial tests one kind of lock on one engine.
type trial struct {
	*testing.T
	server *servers.Server
	kind   kind
	url    string
	name   string // of the lock
}

var pageLock sync.Mutex

func (tr *trial) client(holder string) *sqllock.Client {
	tr.Helper()
	return client(tr, connect(tr, tr.url), sqllock.Options{Holder: holder, TTL: crashTTL, KeepAlive: keepAlive})
}

// get takes the lock, and returns a function that releases it.
func (tr *trial) get(ctx context.Context, c *sqllock.Client, wait bool, opts []any) (release func(), err error) {
	tr.Helper()
	if tr.kind.tx {
		return tr.getTx(ctx, c, wait, opts)
	}
	acquire := locktest.TryTake
	if wait {
		acquire = locktest.Take
	}
	lock, err := acquire(ctx, c, tr.name, append(opts, tr.kind.how...)...)
	if err != nil {
		return nil, err
	}
	return func() { mustRelease(tr, lock) }, nil
}

func (tr *trial) getTx(ctx context.Context, c *sqllock.Client, wait bool, opts []any) (release func(), err error) {
	tx, err := connect(tr, tr.url).DB.BeginTx(context.WithoutCancel(ctx), nil)
	if err != nil {
		return nil, err
	}
	acquire := c.TryAcquireTx
	switch shared := slices.Contains(opts, any(locktest.Shared)); {
	case shared && wait:
		acquire = c.AcquireTxShared
	case shared:
		acquire = c.TryAcquireTxShared
	case wait:
		acquire = c.AcquireTx
	}
	if err := acquire(ctx, tx, tr.name); err != nil {
		return nil, errors.Join(err, tx.Rollback())
	}
	return func() { _ = tx.Commit() }, nil
}

func (tr *trial) try(c *sqllock.Client, opts ...any) (release func(), err error) {
	tr.Helper()
	return tr.get(tr.Context(), c, false, opts)
}

func (tr *trial) acquire(ctx context.Context, c *sqllock.Client) (release func(), err error) {
	tr.Helper()
	return tr.get(ctx, c, true, nil)
}

// take waits for a lock that must become free.
func (tr *trial) take(c *sqllock.Client) (release func()) {
	tr.Helper()
	ctx, cancel := context.WithTimeout(tr.Context(), stepTimeout)
	defer cancel()
	release, err := tr.acquire(ctx, c)
	if err != nil {
		tr.Fatal(err)
	}
	return release
}

type kindArgs struct{ Kind, Name string }

var _ = handle("holdKind", (*worker).holdKind)

// holdKind takes a lock and keeps it.
func (w *worker) holdKind(ctx context.Context, args kindArgs) (any, error) {
	for _, k := range kinds {
		if k.name != args.Kind {
			continue
		}
		if !k.tx {
			_, err := locktest.Take(ctx, w.locks, args.Name, k.how...)
			return nil, err
		}
		tx, err := w.target.DB.BeginTx(ctx, nil)
		if err != nil {
			return nil, err
		}
		return nil, w.locks.AcquireTx(ctx, tx, args.Name)
	}
	return nil, errors.New("there is no lock of kind " + args.Kind)
}
