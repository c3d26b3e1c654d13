package simulate

import (
	"context"
	"database/sql"
	"errors"
	"sync"

	"github.com/sqllock/sqllock/dialect"
)

// guards are the row locks of transactions that guard locks. The database in memory has no
// transactions.
type guards struct {
	mu   sync.Mutex // also held while a statement looks at the guards and changes rows
	rows map[dialect.Key][]*tx
}

// tx is a transaction of the application.
type tx struct {
	w     *world
	ended chan struct{} // closed by end
	over  bool          // guarded by the mutex of guards
}

func (w *world) begin() *tx { return &tx{w: w, ended: make(chan struct{})} }

// guard guards the rows that name the owners of the claims.
func (t *tx) guard(claims []dialect.Claim) ([]bool, error) {
	g := &t.w.guards
	g.mu.Lock()
	defer g.mu.Unlock()
	if t.over {
		return nil, errCut
	}
	ours, err := t.w.db.Guard(background, t, claims)
	for i, is := range ours {
		if is {
			key := claims[i].Key
			g.rows[key] = append(g.rows[key], t)
		}
	}
	return ours, err
}

// end ends the transaction. What commit writes is written while the rows are still locked. It
// returns false if the transaction had ended.
func (t *tx) end(commit func()) bool {
	g := &t.w.guards
	g.mu.Lock()
	defer g.mu.Unlock()
	if t.over {
		return false
	}
	t.over = true
	if commit != nil {
		commit()
	}
	for key, txs := range g.rows {
		kept := txs[:0]
		for _, other := range txs {
			if other != t {
				kept = append(kept, other)
			}
		}
		if g.rows[key] = kept; len(kept) == 0 {
			delete(g.rows, key)
		}
	}
	close(t.ended)
	return true
}

// unguarded carries out what isn't guarded, and refuses the rest.
func unguarded[Q, A any](
	w *world, qs []Q, key func(Q) dialect.Key, apply func(context.Context, []Q) ([]A, error),
) ([]A, error) {
	w.guards.mu.Lock()
	defer w.guards.mu.Unlock()
	answers := make([]A, len(qs))
	for i, q := range qs {
		if len(w.guards.rows[key(q)]) > 0 {
			continue
		}
		some, err := apply(background, []Q{q})
		if err != nil {
			return nil, err
		}
		answers[i] = some[0]
	}
	return answers, nil
}

// afterGuard carries out a request when its row isn't guarded any more.
func afterGuard[Q, A any](
	w *world, caller leaving, qs []Q, key func(Q) dialect.Key, apply func(context.Context, []Q) ([]A, error),
) ([]A, error) {
	for {
		w.guards.mu.Lock()
		by := w.guards.rows[key(qs[0])]
		if len(by) == 0 {
			answers, err := apply(background, qs)
			w.guards.mu.Unlock()
			return answers, err
		}
		ended := by[0].ended
		w.guards.mu.Unlock()
		select {
		case <-ended:
		case <-caller.ctx:
			return nil, errCut
		case <-caller.died:
			return nil, errDead
		}
	}
}

var errNoSQL = errors.New("the database in memory has no SQL")

// ExecContext makes tx a sqllock.Tx.
func (t *tx) ExecContext(context.Context, string, ...any) (sql.Result, error) { return nil, errNoSQL }

// Exec makes tx a dialect.Tx.
func (t *tx) Exec(context.Context, string, ...any) (int64, error) { return 0, errNoSQL }

// Query makes tx a dialect.Tx.
func (t *tx) Query(context.Context, string, ...any) (dialect.Rows, error) { return nil, errNoSQL }
