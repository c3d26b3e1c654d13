package once_test

import (
	"context"
	"testing"
	"time"

	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/once"
)

func TestNilClient(t *testing.T) {
	ctx := t.Context()
	work := func(context.Context, *sqllock.Lock) ([]byte, error) { return nil, nil }
	_, err := once.Do(ctx, nil, "key", work)
	wantErr(t, "Do", err, sqllock.ErrInvalid)
	_, err = once.DoTx(ctx, nil, nil, "key", func(context.Context) ([]byte, error) { return nil, nil })
	wantErr(t, "DoTx", err, sqllock.ErrInvalid)
	job := func(context.Context, *sqllock.Lock) error { return nil }
	_, err = once.RunOccurrence(ctx, nil, "job", time.Now(), job)
	wantErr(t, "RunOccurrence", err, sqllock.ErrInvalid)
}
