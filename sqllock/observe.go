package sqllock

import (
	"context"
	"iter"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// Leader is who leads an election, as it was seen. The zero Leader is nobody.
type Leader struct {
	Holder string    // as its Client was named (Options.Holder)
	Note   string    // what it said of itself (WithNote)
	Term   int64     // the number of its term
	Since  time.Time // when that began, by the database's clock
}

// Leader tells who leads, and false if nobody does: one whose lease has run out doesn't. It is a picture of a moment that has
// passed; only the leader itself can be sure (Term.Guard). It blocks until the database has answered or ctx ends. The error is
// an ErrInvalid if the name is in use as a lock.
func (e *Election) Leader(ctx context.Context) (Leader, bool, error) {
	row, _, err := e.look(ctx)
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

// look reads the leader's row, and that of who asks it to hand over.
func (e *Election) look(ctx context.Context) (leads, asks dialect.Row, err error) {
	if e.c.open.Err() != nil {
		return leads, asks, errClosed
	}
	rows, err := e.c.look(ctx, e.w.name, slotExclusive, slotHandOver)
	if err != nil {
		return leads, asks, e.failed("looking at", err)
	}
	return rows[0], rows[1], useElection.clash(rows[0])
}

// glance sees who leads, for those who look again later: it takes no longer than patience. So long it sits out what may pass, as a
// server that takes no writes during a failover, which says so at once.
func (e *Election) glance(ctx context.Context) (Leader, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		l, _, err := e.Leader(ctx)
		if err == nil || !e.c.passing(err) || !nap(ctx, jitter(asksEvery)) {
			return l, err
		}
	}
}

// observesEvery is how often observers look, give or take a quarter.
const observesEvery = time.Second

// Observe tells who leads: at first the present leader, and then each change that it sees, the zero Leader where nobody leads.
// It looks about once a second, whatever the TTL, and so doesn't see a term that is shorter; the terms that it tells of grow.
//
// The database's failures don't end it. What fails for five seconds of retries is told once, with the zero Leader: nobody
// knows who leads. It goes on trying, and tells who leads as soon as it knows. So does a name that is found in use as a
// lock (ErrInvalid). It ends with ctx, which it doesn't tell of, or when the Client is closed (ErrClosed, the last).
func (e *Election) Observe(ctx context.Context) iter.Seq2[Leader, error] {
	return func(yield func(Leader, error) bool) {
		var told Leader
		known := false
		for first := true; first || nap(ctx, jitter(observesEvery)); first = false {
			now, err := e.glance(ctx)
			closed := e.c.open.Err() != nil
			switch {
			case ctx.Err() != nil:
				return
			case closed:
				yield(Leader{}, errClosed)
				return
			case err == nil && known && now.Term == told.Term:
				continue
			case err != nil && !known && !first:
				continue
			}
			told, known = now, err == nil
			if !yield(now, err) {
				return
			}
		}
	}
}
