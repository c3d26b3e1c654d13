// Package fail makes the errors that several packages of sqllock return.
package fail

import (
	"context"
	"errors"
	"fmt"

	"github.com/sqllock/sqllock/dialect"
)

// Invalid returns a [dialect.ErrInvalid] about a value that the caller passed.
func Invalid(format string, args ...any) error {
	return fmt.Errorf("sqllock: %w: %s", dialect.ErrInvalid, fmt.Sprintf(format, args...))
}

// Ended returns the error of a ctx that has ended, together with its cause.
func Ended(ctx context.Context) error {
	err := ctx.Err()
	if cause := context.Cause(ctx); !errors.Is(err, cause) {
		err = fmt.Errorf("%w (%w)", err, cause)
	}
	return err
}

// Also returns err joined with released, or err alone if it already includes released.
func Also(err, released error) error {
	if released == nil || errors.Is(err, released) {
		return err
	}
	return errors.Join(err, released)
}
