package libraries

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// DBTX runs sqlc's queries with pgx: it is a pool, a connection or a transaction.
type DBTX interface {
	Exec(context.Context, string, ...any) (pgconn.CommandTag, error) // :exec
	Query(context.Context, string, ...any) (pgx.Rows, error)         // :many
	QueryRow(context.Context, string, ...any) pgx.Row                // :one
}

// New returns the queries that run on db.
func New(db DBTX) *Queries { return &Queries{db: db} }

// Queries has the queries as sqlc generates them.
type Queries struct{ db DBTX }

const addToBalance = `-- name: AddToBalance :exec
UPDATE accounts SET balance = balance + $2 WHERE id = $1
`

// AddToBalanceParams are the parameters of AddToBalance.
type AddToBalanceParams struct {
	ID     int64 // $1
	Amount int64 // $2
}

// AddToBalance adds to the balance of an account.
func (q *Queries) AddToBalance(ctx context.Context, arg AddToBalanceParams) error {
	_, err := q.db.Exec(ctx, addToBalance, arg.ID, arg.Amount)
	return err
}
