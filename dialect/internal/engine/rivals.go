package engine

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// Rivals lets two sessions of a pool compete for one lock's row, for Probe. Statements that succeed
// may still exclude nothing: a server may accept SKIP LOCKED or LOCK IN SHARE MODE and lock
// nothing, and a proxy may make two connections one session.
//
// The row is committed, since both sessions have to see it, and removed again. If the process dies
// in between, the reaper removes it after its lease has expired.
type Rivals struct {
	Conns Conns

	// The engine's statements, for one element each.
	CreateLease func(context.Context, Session, dialect.Lease) error
	// a row that doesn't exist yet
	Insert       func(context.Context, Session, dialect.Request) (dialect.Grant, error)
	AdvanceFence func(context.Context, Session, dialect.FenceAdvance) (bool, error)
	Release      func(context.Context, Session, dialect.Claim) (bool, error)
	// an existing row
	Take   func(context.Context, Session, dialect.Request) (dialect.Grant, error)
	Guard  func(context.Context, Session, dialect.Claim) (bool, error)
	Free   func(context.Context, Session, dialect.DeadHolder) (bool, error)
	Remove func(ctx context.Context, s Session, lock, lease string) error
}

// The time that the second session has, from the beginning of its transaction, before the first
// one's transaction ends. Taking a lock may wait for that end, so on a server that works this costs
// headStart. Free waits for nothing, so its result comes before.
const (
	headStart = 20 * time.Millisecond // and twice what the first session took
	forFree   = 5 * time.Second
)

// toBegin is how long the second session's transaction has to begin, in addition to ten times what
// the first session took. Where many probe at once through a pooler with few connections, each may
// have one and need another. None would ever get it if they all waited.
const toBegin = 100 * time.Millisecond

var errRefused = fmt.Errorf("%w: a session was refused a free lock", dialect.ErrUnsupported)

// maxRefusals is how often in a row a free lock may be refused: a reaper may be using its row.
const maxRefusals = 5

// Compete fails with an error that wraps dialect.ErrUnsupported if one session doesn't exclude the
// other.
func (r Rivals) Compete(ctx context.Context) (err error) {
	for range maxRefusals {
		if err = r.compete(ctx); !errors.Is(err, errRefused) {
			break
		}
	}
	return err
}

func (r Rivals) compete(ctx context.Context) (err error) {
	first, err := r.Conns.Conn(ctx)
	if err != nil {
		return err
	}
	defer first.Close() //nolint:errcheck // back to the pool
	second, err := r.Conns.SecondConn(ctx)
	if err != nil {
		return err
	}
	defer second.Close() //nolint:errcheck // back to the pool
	id := rand.Text()
	winner := dialect.Request{Key: dialect.Key{Name: "sqllock probe " + id}, LeaseID: id, Owner: id}
	loser := winner
	loser.Owner = rand.Text()
	if err := r.inTx(ctx, first, func(tx Session) error { return r.make(ctx, tx, winner) }); err != nil {
		return fmt.Errorf("tried to make a lock for two sessions to compete for: %w", err)
	}
	defer func() {
		within, cancel := context.WithTimeout(context.WithoutCancel(ctx), secondWithin)
		defer cancel()
		err = errors.Join(err, r.inTx(within, first, func(tx Session) error {
			return r.Remove(within, tx, winner.Name, id)
		}))
	}()
	var grant dialect.Grant
	err = contest{
		hold: func(s Session) (_ bool, err error) { grant, err = r.Take(ctx, s, winner); return grant.Granted, err },
		rival: func(ctx context.Context, s Session) (bool, error) {
			grant, err := r.Take(ctx, s, loser)
			return grant.Granted, err
		},
		keep:    true,
		within:  headStart,
		meaning: "two sessions were both given one lock",
	}.run(ctx, first, second)
	if err != nil {
		return err
	}
	return contest{
		hold: func(s Session) (bool, error) { return r.Guard(ctx, s, dialect.Claim{Key: winner.Key, Owner: id}) },
		rival: func(ctx context.Context, s Session) (bool, error) {
			return r.Free(ctx, s, dialect.DeadHolder{Key: winner.Key, Fence: grant.Fence, LeaseID: id})
		},
		within:  forFree,
		meaning: "a lock was taken away although a transaction guards it",
	}.run(ctx, first, second)
}

// make creates a lease and the row of a free lock. No reaper purges the row, since its fence is
// ahead of the clock.
func (r Rivals) make(ctx context.Context, s Session, of dialect.Request) error {
	err := r.CreateLease(ctx, s, dialect.Lease{ID: of.LeaseID, Holder: "sqllock probe", TTL: time.Minute})
	if err != nil {
		return err
	}
	if _, err = r.Insert(ctx, s, of); err != nil {
		return err
	}
	claim := dialect.Claim{Key: of.Key, Owner: of.Owner}
	ahead := time.Now().Add(time.Hour).UnixMicro()
	if _, err = r.AdvanceFence(ctx, s, dialect.FenceAdvance{Claim: claim, Fence: ahead}); err != nil {
		return err
	}
	_, err = r.Release(ctx, s, claim)
	return err
}

func (r Rivals) inTx(ctx context.Context, conn Conn, do func(Session) error) error {
	tx, err := conn.Begin(ctx)
	if err != nil {
		return err
	}
	if err := do(tx); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}

// contest is one session that holds the row in a transaction, and another that requests it
// meanwhile.
type contest struct {
	hold  func(Session) (bool, error)
	rival func(context.Context, Session) (bool, error)
	// hold is committed, and still excludes the rival after that; otherwise it is rolled back
	keep bool

	within  time.Duration // how long the rival has before hold's transaction ends
	meaning string        // what it means if the rival isn't excluded
}

func (c contest) run(ctx context.Context, first, second Conn) error {
	tx, err := first.Begin(ctx)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after Commit there is nothing to roll back
	start := time.Now()
	held, err := c.hold(tx)
	switch {
	case err != nil:
		return err
	case !held:
		return errRefused
	}
	asking, stop := context.WithCancel(ctx)
	defer stop()
	took := time.Since(start)
	type answer struct{ got, failed bool }
	begun, result := make(chan struct{}), make(chan answer, 1)
	go func() {
		got, err := c.ask(asking, second, func() { close(begun) })
		result <- answer{got, err != nil}
	}()
	var rival answer
	waits := true
	if within(toBegin+10*took, begun) {
		select {
		case rival = <-result:
			waits = false
		case <-time.After(c.within + 2*took):
		}
	}
	end := tx.Rollback
	if c.keep {
		end = tx.Commit
	}
	if err = end(); err != nil {
		stop()
	}
	if waits { // the second connection is the rival's until it has finished
		rival = <-result
		rival.got = rival.got && c.keep
	}
	// If it didn't wait, the row was skipped. If it failed, it may have waited for too long. The
	// row must be refused now.
	if err == nil && c.keep && !rival.got && (!waits || rival.failed) {
		rival.got, _ = c.ask(ctx, second, func() {})
	}
	switch {
	case err != nil:
		return err
	case rival.got:
		return fmt.Errorf("%w: %s: this server, or a proxy before it, accepts the statements and doesn't lock",
			dialect.ErrUnsupported, c.meaning)
	}
	return ctx.Err()
}

// within reports whether the channel is closed within d.
func within(d time.Duration, closed <-chan struct{}) bool {
	select {
	case <-closed:
		return true
	case <-time.After(d):
		return false
	}
}

// ask reports whether the rival got the row. It calls begun once its transaction has begun, or
// can't begin. An error means that it was excluded: a conflict, a time-out.
func (c contest) ask(ctx context.Context, conn Conn, begun func()) (got bool, err error) {
	tx, err := conn.Begin(ctx)
	begun()
	if err != nil {
		return false, err
	}
	defer tx.Rollback() //nolint:errcheck // after Commit there is nothing to roll back
	got, err = c.rival(ctx, tx)
	return got && err == nil, err
}
