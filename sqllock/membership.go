package sqllock

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// A database that lost its data has forgotten to whom it gave its votes, and would give them again: two majorities (Redlock's
// "delayed restarts"). So each database keeps a row of its own for the quorum, a lock that was taken once and is never to be
// free again. Its bar tells since when, by that database's clock; and what it says of itself, which database that is. It goes
// with the data, and then another one is made, which is young: a vote counts only when the row, looked at after the vote was
// given, is older than any lock may last. For then the database has had its data since before the vote, and all the votes are
// over that it gave before it lost what it had.

// errYoung: the database's vote doesn't count yet.
var errYoung = fmt.Errorf("%w: it takes part for too short a time", ErrNotAcquired)

// member is a database of the quorum.
type member struct {
	q      *Quorum
	c      *Client
	number int // from 1

	stands atomic.Bool // its last vote counted

	silent atomic.Bool  // it didn't answer in time when it was asked last
	asked  atomic.Int64 // since then, in nanoseconds from the quorum's start
}

// askSilent is how often a database is asked that didn't answer: each question may keep a connection for some time.
const askSilent = time.Second

// absent: the others will do without it for now.
func (m *member) absent() bool {
	if !m.silent.Load() {
		return false
	}
	last, since := m.asked.Load(), int64(time.Since(m.q.began))
	return since-last < int64(askSilent) || !m.asked.CompareAndSwap(last, since)
}

// answered takes note of whether it did, in time.
func (m *member) answered(in bool) {
	if !in && !m.silent.Load() {
		m.asked.Store(int64(time.Since(m.q.began)))
	}
	m.silent.Store(!in)
}

// hear finds out whether a member that was silent answers again. It is given its time, though the ballot may be over before: else
// one that is a little slower than those who refuse would be taken for silent for ever.
func (m *member) hear(ctx context.Context, within time.Duration) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), within)
	defer cancel()
	err := m.standing(ctx)
	m.answered(ctx.Err() == nil)
	return err
}

func (m *member) String() string {
	return fmt.Sprintf("database %d (%s)", m.number, m.c.dialect.Name())
}

// failed says of which database an error is.
func (m *member) failed(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", m, err)
}

// charter is what all who use the quorum must agree on, as the row's note has it before the database's id.
func (q *Quorum) charter() string {
	return fmt.Sprintf("one of %d databases, for locks of %s at most, ", len(q.members), q.opts.MaxTTL)
}

// standing looks at the database's row, and makes it if there is none. Nil: its votes count. errYoung: they will.
func (m *member) standing(ctx context.Context) error {
	row, err := m.row(ctx)
	if err == nil {
		err = m.judge(row)
	}
	m.stands.Store(err == nil)
	return err
}

func (m *member) row(ctx context.Context) (dialect.Row, error) {
	for range rounds {
		row, err := asked(ctx, m, func(ctx context.Context) (dialect.Row, error) {
			return one(m.c.dialect.Look(ctx, []dialect.Key{{Name: m.q.opts.Name, Slot: slotMember}}))
		})
		if err != nil || row.Exists && row.FreeIn > 0 {
			return row, err
		}
		if err := m.enrol(ctx); err != nil {
			return row, err
		}
	}
	return dialect.Row{}, m.failed(errors.New("its row of the quorum was deleted again and again"))
}

// judge says whether the database's votes count.
func (m *member) judge(row dialect.Row) error {
	id, agreed := strings.CutPrefix(row.Note, m.q.charter())
	if !agreed {
		return invalid("%s takes part in quorum %q as %q, and here it would be %q: all processes must use the same databases "+
			"and the same MaxTTL; to change that, stop them all and give the Quorum another Name", m, m.q.opts.Name,
			row.Note, m.q.charter()+"…")
	}
	if other := m.q.meet(m, id); other != nil {
		return invalid("%s and %s of quorum %q are the same database, or one is a copy of the other: each must be one of its own; "+
			"of a copy, empty the tables sqllock_locks and sqllock_leases", other, m, m.q.opts.Name)
	}
	age := forever - row.FreeIn
	if left := m.q.opts.MaxTTL - age; left > 0 {
		return fmt.Errorf("%s: %w: for %s, since it was new or had lost its data; its votes count in %s",
			m, errYoung, age.Round(time.Millisecond), left.Round(time.Millisecond))
	}
	return nil
}

// meet keeps in mind which database the member is. It answers the other member that is the same.
func (q *Quorum) meet(m *member, id string) *member {
	q.mu.Lock()
	defer q.mu.Unlock()
	for other, known := range q.ids {
		if other != m && known == id {
			return other
		}
	}
	q.ids[m] = id
	return nil
}

// enrol makes the row, if nobody else is faster.
func (m *member) enrol(ctx context.Context) error {
	lock, _, err := m.c.attempt(ctx, wish{
		name: m.q.opts.Name, slot: slotMember, use: useQuorum, ttl: m.q.opts.TTL,
		note: m.q.charter() + rand.Text(), holdAtLeast: forever,
	}, false, func() {})
	switch {
	case err == nil:
		m.q.log.Info("sqllock: enrolled a database that is new to the quorum, or has lost its data", "quorum", m.q.opts.Name,
			"database", m.number, "counts in", m.q.opts.MaxTTL)
		lock.giveBack()
	case ctx.Err() != nil:
		return m.late()
	case !errors.Is(err, ErrNotAcquired):
		return m.failed(err)
	}
	return nil
}

// vote asks for the database's vote, and looks whether it counts.
func (m *member) vote(ctx context.Context, w wish, looking bool) (*Lock, error) {
	if m.silent.Load() {
		if err := m.hear(ctx, voteWithin(w.ttl)); err != nil {
			return nil, err
		}
	}
	if !m.stands.Load() { // nothing is taken that would have to be given back
		if err := m.standing(ctx); err != nil {
			return nil, err
		}
	}
	lock, _, err := m.c.attempt(ctx, w, looking, func() {})
	switch {
	case err != nil && ctx.Err() != nil:
		m.stands.Store(false) // a look is less than a try, and says more of what is wrong
		return nil, m.late()
	case err != nil:
		return nil, m.failed(err)
	}
	if err = m.standing(ctx); err == nil && lock.Fence() > dialect.MaxFence {
		err = m.failed(fmt.Errorf("its fence %d leaves no room for those to come", lock.Fence()))
	}
	if err != nil {
		lock.giveBack()
		return nil, err
	}
	return lock, nil
}

// raise writes the quorum's fence into the vote.
func (m *member) raise(ctx context.Context, vote *Lock, fence int64) error {
	ours, err := asked(ctx, m, func(ctx context.Context) (bool, error) {
		return one(m.c.dialect.Raise(ctx, []dialect.Raise{{Claim: vote.claim, Fence: fence}}))
	})
	if err == nil && !ours {
		err = m.failed(fmt.Errorf("%w: its vote was lost again", ErrNotAcquired))
	}
	return err
}

// asked asks the database for what may be asked twice, and waits for the answer until ctx ends.
func asked[T any](ctx context.Context, m *member, ask func(context.Context) (T, error)) (answer T, err error) {
	var last atomic.Pointer[error]
	answer, outlived, err := detached(ctx, m.c, func() (answer T, err error) {
		_, err = m.c.retry(m.c.operation(ctx), func(ctx context.Context) error {
			got, failure := ask(ctx)
			if answer = got; failure != nil {
				last.Store(&failure)
			}
			return failure
		})
		if err != nil {
			err = m.c.failed("asking for a vote", err)
		}
		return answer, err
	}, func(T) {})
	if failure := last.Load(); outlived && failure != nil {
		return answer, fmt.Errorf("%w, but %v", m.late(), *failure) //nolint:errorlint // of what class it is doesn't matter
	}
	if outlived {
		return answer, m.late()
	}
	return answer, m.failed(err)
}

// late is the error of a database that hasn't answered when it was to. It isn't the caller's ctx that has ended.
func (m *member) late() error { return fmt.Errorf("%s: no answer in time", m) }
