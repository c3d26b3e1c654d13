package sqllock_test

import (
	"context"
	"testing"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
)

type valueKey struct{}

// valued records a value of the ctx of each acquire.
type valued struct {
	*sqllocktest.Dialect
	seen []any
}

func (d *valued) Acquire(ctx context.Context, requests []dialect.Request) ([]dialect.Grant, error) {
	d.seen = append(d.seen, ctx.Value(valueKey{}))
	return d.Dialect.Acquire(ctx, requests)
}

// A statement for one caller alone has the values of its ctx, for instance those of a trace. It
// makes no difference whether that ctx can end.
func TestStatementHasTheCallersValues(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		d := &valued{Dialect: db}
		c := client(t, d, "a")
		mustRelease(t, mustTry(t, c, "warm"))
		d.seen = nil
		for _, ctx := range []context.Context{context.Background(), t.Context()} {
			lock, err := c.Acquire(context.WithValue(ctx, valueKey{}, "trace"), "x")
			if err != nil {
				t.Fatal(err)
			}
			mustRelease(t, lock)
		}
		if len(d.seen) != 2 || d.seen[0] != "trace" || d.seen[1] != "trace" {
			t.Errorf("the statements had the values %v", d.seen)
		}
	})
}
