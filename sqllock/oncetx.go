package sqllock

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/sqllock/sqllock/dialect"
)

// OnceTx does the work for a key in the caller's transaction, and remembers its outcome there: it commits with what fn has written
// in tx, or is rolled back with it. So what fn writes in tx is written once, however often the same message is delivered, and
// wherever a process is killed. Where an outcome is remembered, fn isn't called, and Outcome.Replayed says so: commit tx or
// roll it back, then acknowledge the message.
//
// Call it first thing in tx. Another transaction of the same key waits in the database until this one has ended, or its ctx has;
// on SQLite all writers do. After an error roll tx back; nothing is remembered then. The error is fn's as it is; ErrBeginAgain
// where the transaction has met with another: as under REPEATABLE READ and SERIALIZABLE, where the same key was settled since tx
// began, and on MySQL and MariaDB where several waited for one that has rolled back. In a cluster whose members all take
// writes, as Galera, of two members' transactions of one key one fails at its commit: roll back, and begin again. A failed
// commit whose outcome is unknown is no harm: do it all again.
//
// KeepOutcome is the only option: remember for longer than a message can be delivered again. A result of more than MaxResultBytes is
// an ErrInvalid. What fn does outside of tx it may do twice.
func (c *Client) OnceTx(ctx context.Context, tx *sql.Tx, key string, fn func(ctx context.Context, tx *sql.Tx) ([]byte, error),
	opts ...OnceOption,
) (Outcome, error) {
	e, err := c.errand(key, fn == nil, opts)
	switch {
	case err != nil:
		return Outcome{}, err
	case tx == nil:
		return Outcome{}, invalid("the transaction for the work for %q is nil", key)
	case e.failures || e.withTTL:
		return Outcome{}, invalid("RememberFailure and OnceTTL of the work for %q don't go with OnceTx", key)
	}
	o, err := one(c.dialect.ClaimTx(ctx, tx, []string{key}))
	if err != nil {
		return Outcome{}, c.failedTx("claiming", e, err)
	}
	if o.Kept {
		return e.answer(o, true)
	}
	result, err := fn(ctx, tx)
	if err == nil {
		err = e.checkResult(result)
	}
	if err != nil {
		return Outcome{}, err
	}
	o, err = one(c.dialect.SettleTx(ctx, tx, []dialect.Done{{Name: key, Result: result, Keep: toMicros(e.keep)}}))
	switch {
	case err != nil:
		return Outcome{}, c.failedTx("remembering the outcome of", e, err)
	case !o.Kept:
		return Outcome{}, invalid("the work for %q has undone what was claimed for it: fn must not end the transaction, "+
			"nor roll it back to a savepoint of before", key)
	}
	return e.answer(o, false)
}

// failedTx is the error for what went wrong in the caller's transaction.
func (c *Client) failedTx(what string, e errand, err error) error {
	failed := c.failed(fmt.Sprintf("%s %q in a transaction", what, e.key), err)
	if c.dialect.Classify(err) == dialect.Transient && !errors.Is(err, sql.ErrTxDone) {
		return fmt.Errorf("%w: %w", ErrBeginAgain, failed)
	}
	return failed
}
