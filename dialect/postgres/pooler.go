package postgres

import (
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/sqllock/sqllock/dialect"
)

// errStatementMode reports a PgBouncer with pool_mode=statement, which accepts no transactions.
var errStatementMode = fmt.Errorf("%w: the pooler before the server is in statement mode (PgBouncer's "+
	"pool_mode=statement), where it accepts no transactions, and locks and migrations need them: connect to "+
	"PostgreSQL itself, or set pool_mode to transaction or session", dialect.ErrUnsupported)

// Explain adds the reason to an error with which a pooler refuses what its mode doesn't allow. It
// returns any other err unchanged.
func Explain(err error) error {
	var refused *pgconn.PgError
	if errors.As(err, &refused) && strings.Contains(refused.Message, "statement pooling mode") &&
		!errors.Is(err, errStatementMode) {
		return fmt.Errorf("%w: %w", errStatementMode, err)
	}
	return err
}
