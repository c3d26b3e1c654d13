package election

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/internal/request"
	"github.com/sqllock/sqllock/sqllock/internal/store"
)

// handOverPoll is how often a caller that asks for a hand-over checks whether it is done.
const handOverPoll = 250 * time.Millisecond

// Leader describes the leader of an election, as it was seen. The zero Leader means that nobody
// leads.
type Leader struct {
	Holder string    // its Options.Holder
	Note   string    // its note (WithNote)
	Term   int64     // the number of its term
	Since  time.Time // when the term began, by the database's clock
}

// Leader reads who leads. It returns false if nobody does. A process whose lease has expired does
// not lead. The leader may have changed when Leader returns. Only the leader itself can be sure
// that it leads ([Term.Guard]). Leader blocks until the database has answered or ctx ends.
func (e *Election) Leader(ctx context.Context) (Leader, bool, error) {
	row, _, err := e.readLeader(ctx)
	if err != nil {
		return Leader{}, false, err
	}
	l := leader(row)
	return l, l != Leader{}, nil
}

func leader(row dialect.Row) Leader {
	if !row.Held || row.Lease != dialect.LeaseLive {
		return Leader{}
	}
	return Leader{Holder: row.Holder, Note: row.Note, Term: row.Fence, Since: row.AcquiredAt}
}

// readLeader reads the leader's row, and the row of the request to hand over.
func (e *Election) readLeader(ctx context.Context) (leads, asks dialect.Row, err error) {
	if e.c.Store().Open().Err() != nil {
		return leads, asks, fmt.Errorf("sqllock: %w", sqllock.ErrClosed)
	}
	rows, err := e.c.Store().Rows(ctx,
		dialect.Key{Name: e.req.Name, Slot: request.SlotElection},
		dialect.Key{Name: e.req.Name, Slot: request.SlotHandOver})
	if err != nil {
		return leads, asks, e.failed("reading the leader of", err)
	}
	return rows[0], rows[1], nil
}

// currentLeader reads who leads, for callers that read that again later. It blocks for
// OperationTimeout at most. Until then it retries errors that may pass, such as those of a server
// that takes no writes during a failover, which come at once.
func (e *Election) currentLeader(ctx context.Context) (Leader, error) {
	ctx, cancel := context.WithTimeout(ctx, store.OperationTimeout)
	defer cancel()
	for {
		l, _, err := e.Leader(ctx)
		if err == nil || !e.c.Passing(err) || !store.Sleep(ctx, store.Jitter(handOverPoll)) {
			return l, err
		}
	}
}

// observeInterval is how often observers poll, give or take a quarter.
const observeInterval = time.Second

// Observe returns an iterator over the leaders of the election: first the present one, and then
// each change that it sees. It yields the zero [Leader] while nobody leads.
//
// It polls about once a second, whatever the TTL, and so does not see a shorter term. The terms
// that it yields grow. A candidate that wins and yields to another at once ([Election.HandOverTo],
// [Priority]) may be seen to lead for that moment.
//
// Failures of the database don't end the iteration. A failure that lasts for five seconds of
// retries is yielded once, with the zero Leader, because the leader is then unknown. Observe goes
// on trying and yields the leader as soon as it is known. The iteration ends with ctx, without
// yielding its error, and when the [sqllock.Client] is closed, with [sqllock.ErrClosed] as the last
// error.
func (e *Election) Observe(ctx context.Context) iter.Seq2[Leader, error] {
	return func(yield func(Leader, error) bool) {
		var last Leader
		known := false
		for first := true; first || store.Sleep(ctx, store.Jitter(observeInterval)); first = false {
			now, err := e.currentLeader(ctx)
			closed := e.c.Store().Open().Err() != nil
			switch {
			case ctx.Err() != nil:
				return
			case closed:
				yield(Leader{}, fmt.Errorf("sqllock: %w", sqllock.ErrClosed))
				return
			case err == nil && known && now.Term == last.Term:
				continue
			case err != nil && !known && !first:
				continue
			}
			last, known = now, err == nil
			if !yield(now, err) {
				return
			}
		}
	}
}
