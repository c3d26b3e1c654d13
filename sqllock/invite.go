package sqllock

import (
	"context"
	"errors"
	"fmt"

	"github.com/sqllock/sqllock/dialect"
)

// invite leaves the sign that the name has readers, if it isn't there.
func (a rowAnchor) invite(ctx, caller context.Context, l *lease, w wish) error {
	if l.knowsReaders(w.name) {
		return nil
	}
	if err := a.c.noSemaphore(ctx, w.name); err != nil {
		return err
	}
	lock, err := a.takeToInvite(ctx, caller, l, w)
	if err == nil {
		err = a.sign(ctx, caller, l, lock)
	} else if meetsReaders(err) {
		err = nil
	}
	if err == nil {
		l.learnReaders(w.name)
	}
	return err
}

// inviting is the note of who leaves the sign: for people, and for readers that come meanwhile.
const inviting = "lets readers in"

// takeToInvite takes the exclusive lock. Readers who come first at the same time aren't in each other's way: they wait for that
// one who does it, which takes a few statements.
func (a rowAnchor) takeToInvite(ctx, caller context.Context, l *lease, w wish) (lock *Lock, err error) {
	for {
		if !l.use() {
			return nil, l.tooLate(w.name)
		}
		lock, err = a.takeRow(ctx, caller, l, wish{name: w.name, ttl: w.ttl, note: inviting}, true)
		if held, ok := errors.AsType[*HeldError](err); !ok || held.readers || held.Note != inviting || !nap(ctx, jitter(firstPause)) {
			return lock, err
		}
	}
}

// sign bars the exclusive lock for ever, and lets it go. Before that the writers' fences have to be beyond those that it gave
// out, which are ahead of the database's clock if that is coarse, while a new row's begin at it. Once begun it goes on though
// the caller leaves: else those with little time would all begin it in vain.
func (a rowAnchor) sign(ctx, caller context.Context, l *lease, lock *Lock) error {
	if err := a.raiseWriters(ctx, context.WithoutCancel(caller), l, lock); err != nil {
		lock.surrender(ctx)
		return err
	}
	bar := dialect.Request{Key: lock.claim.Key, LeaseID: l.id, Owner: lock.claim.Owner, Note: inviting, HoldAtLeast: toMicros(forever)}
	var grant dialect.Grant
	unsure, err := a.c.retry(ctx, func(ctx context.Context) (err error) {
		grant, err = a.c.acquires.do(ctx, bar)
		return err
	})
	switch {
	case err != nil:
		lock.unsure = lock.unsure || unsure
		lock.surrender(ctx)
		return a.c.failed(fmt.Sprintf("letting readers in to %q", lock.Name()), err)
	case !grant.Granted:
		lock.surrender(ctx)
		return l.tooLate(lock.Name())
	}
	return lock.Release(ctx)
}

// raiseWriters sees to it that the next writer's fence is beyond that of the exclusive lock.
func (a rowAnchor) raiseWriters(ctx, caller context.Context, l *lease, lock *Lock) error {
	if !l.use() {
		return l.tooLate(lock.Name())
	}
	writer, err := a.takeRow(ctx, caller, l, wish{name: lock.Name(), slot: slotWriter, ttl: l.ttl}, false)
	if err != nil {
		return err
	}
	defer writer.surrender(ctx)
	var raised bool
	_, err = a.c.retry(ctx, func(ctx context.Context) (err error) {
		raised, err = one(a.c.dialect.Raise(ctx, []dialect.Raise{{Claim: writer.claim, Fence: lock.fence}}))
		return err
	})
	switch {
	case err != nil:
		return a.c.failed(fmt.Sprintf("letting readers in to %q", lock.Name()), err)
	case !raised:
		return l.tooLate(lock.Name())
	}
	return nil
}
