package sqllock

import (
	"context"
	"log/slog"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock/internal/recipe"
	"github.com/sqllock/sqllock/sqllock/internal/request"
	"github.com/sqllock/sqllock/sqllock/internal/store"
)

var _ = recipe.Provide(func(c *Client) recipe.Client[*Lock] { return recipeClient{c} })

// recipeClient is what the packages election, once and quorum use of a Client.
type recipeClient struct{ c *Client }

func (r recipeClient) Store() *store.Store { return r.c.store.Store }
func (r recipeClient) Log() *slog.Logger   { return r.c.log }
func (r recipeClient) Holder() string      { return r.c.opts.Holder }
func (r recipeClient) TTL() time.Duration  { return r.c.opts.TTL }

func (r recipeClient) Tracers() []any {
	if r.c.tracers == nil {
		return nil
	}
	return r.c.tracers.all
}

func (r recipeClient) Check(req *request.Request) error { return r.c.checkLease(req) }

func (r recipeClient) Acquire(ctx context.Context, req request.Request) (*Lock, error) {
	return acquirer{r.c.core}.acquire(ctx, acquisition{Request: req})
}

func (r recipeClient) Try(ctx context.Context, req request.Request) (*Lock, error) {
	return acquirer{r.c.core}.try(ctx, acquisition{Request: req})
}

func (r recipeClient) Attempt(ctx context.Context, req request.Request, readFirst bool) (*Lock, error) {
	lock, _, err := acquirer{r.c.core}.attempt(ctx, acquisition{Request: req}, readFirst, func() {})
	return lock, err
}

func (r recipeClient) OwnTx(ctx context.Context, doing, name string) error {
	return r.c.store.ownTx(ctx, doing, name)
}

func (r recipeClient) Failed(what string, err error) error { return r.c.store.failed(what, err) }

func (r recipeClient) GaveUp(ctx context.Context, name string) error { return gaveUp(ctx, name, nil) }

func (r recipeClient) Passing(err error) bool { return r.c.store.passing(err) }

func (r recipeClient) LockErr(lock *Lock) error { return lock.check() }

func (r recipeClient) Scope(ctx context.Context, lock *Lock) (context.Context, context.CancelCauseFunc) {
	return lock.scope(ctx)
}

func (r recipeClient) While(ctx context.Context, lock *Lock, f func(ctx context.Context) error) error {
	return lock.while(ctx, f)
}

func (r recipeClient) Discard(lock *Lock)             { lock.discardLater() }
func (r recipeClient) Claim(lock *Lock) dialect.Claim { return lock.claim }

func (r recipeClient) Lease(lock *Lock) (id string, ttl time.Duration) {
	return lock.lease.id, lock.lease.ttl
}
