package sqllocktest

import (
	"context"
	"fmt"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// Op names an operation of the dialect.
type Op string

// The operations. All except OpNextNotification call the database, and Any stands for all that do.
const (
	Any             Op = "any"
	OpProbe         Op = "Probe"
	OpCreateLease   Op = "CreateLease"
	OpRenewLeases   Op = "RenewLeases"
	OpExpireLeases  Op = "ExpireLeases"
	OpDeleteExpired Op = "DeleteExpired"

	OpExpireUnrenewed Op = "ExpireUnrenewed"
	OpOverlongLeases  Op = "OverlongLeases"
	OpEndBars         Op = "EndBars"

	OpDeleteLeases     Op = "DeleteLeases"
	OpAcquire          Op = "Acquire"
	OpRelease          Op = "Release"
	OpGuard            Op = "Guard"
	OpAdvanceFence     Op = "AdvanceFence"
	OpGet              Op = "Get"
	OpFree             Op = "Free"
	OpList             Op = "List"
	OpPurge            Op = "Purge"
	OpEnqueue          Op = "Enqueue"
	OpDequeue          Op = "Dequeue"
	OpQueue            Op = "Queue"
	OpListWaiters      Op = "ListWaiters"
	OpWaitingHolders   Op = "WaitingHolders"
	OpTransfer         Op = "Transfer"
	OpPurgeWaiters     Op = "PurgeWaiters"
	OpRecall           Op = "Recall"
	OpRemember         Op = "Remember"
	OpClaimTx          Op = "ClaimTx"
	OpRememberTx       Op = "RememberTx"
	OpPurgeOutcomes    Op = "PurgeOutcomes"
	OpBreak            Op = "Break"
	OpListBreaks       Op = "ListBreaks"
	OpPurgeBreaks      Op = "PurgeBreaks"
	OpOpenListener     Op = "OpenListener"
	OpNextNotification Op = "NextNotification" // only in errors: it waits, and does not call the database
	OpOpenSession      Op = "OpenSession"
	OpTryLock          Op = "TryLock"
	OpUnlock           Op = "Unlock"
	OpHeldBy           Op = "HeldBy"
	OpPing             Op = "Ping"
)

// Error is a failure that a test asked for.
type Error struct {
	Op     Op            // the operation that failed
	Class  dialect.Class // the class that Classify returns
	Reason string        // for people
}

// Error says which operation failed, and why.
func (e *Error) Error() string {
	return fmt.Sprintf("sqllocktest: %s: %s (%s)", e.Op, e.Reason, e.Class)
}

// Outage makes every operation fail with a Transient error until it is switched off. Nothing is
// carried out, as when connections are refused.
func (d *Dialect) Outage(on bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.outage = on
}

// Demote makes every operation that writes fail until it is switched off, as on the old primary
// during a failover. The error's class is [dialect.ClassReadOnly].
func (d *Dialect) Demote(on bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.demoted = on
}

// reads are the operations that a read-only server carries out.
var reads = map[Op]bool{
	OpGet: true, OpList: true, OpQueue: true, OpWaitingHolders: true, OpRecall: true, OpOpenListener: true,
	OpOpenSession: true, OpTryLock: true, OpUnlock: true, OpHeldBy: true, OpPing: true,
}

// Wipe deletes all rows, as when the database is restarted without its data. Its clock and the
// scripted faults stay.
func (d *Dialect) Wipe() {
	d.mu.Lock()
	defer d.mu.Unlock()
	clear(d.leases)
	clear(d.locks)
	d.waiters, d.broken = nil, nil
}

// FailNext makes the next n calls of op fail with an error of that class. Nothing is carried out,
// even if the class is Unknown; use [Dialect.LoseReplies] for calls that are carried out although
// their outcome is unknown.
func (d *Dialect) FailNext(op Op, n int, class dialect.Class) {
	d.script(op, n, fault{class: class, reason: "scripted failure"})
}

// LoseReplies makes the next n calls of op fail with an Unknown error after they were carried out,
// as when the connection is cut after the commit.
func (d *Dialect) LoseReplies(op Op, n int) {
	d.script(op, n, fault{class: dialect.ClassUnknown, reason: "reply lost", applied: true})
}

// Delay makes every call of op take that long to arrive at the database; zero ends the delay. If
// ctx ends first, the caller gets ctx's error, but its request is carried out all the same once the
// time has passed. A delay for one operation takes precedence over a delay for [Any].
func (d *Dialect) Delay(op Op, by time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.delays[op] = by
}

// Calls returns how many calls of op reached the database. It counts calls that failed because of a
// fault, and does not count calls with an empty slice or with a ctx that had ended already.
func (d *Dialect) Calls(op Op) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.calls[op]
}

type fault struct {
	class   dialect.Class
	reason  string
	applied bool
}

// pending is a request whose caller left before it arrived.
type pending struct {
	at    time.Time
	apply func(now time.Time)
}

func (d *Dialect) script(op Op, n int, f fault) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for range n {
		d.faults[op] = append(d.faults[op], f)
	}
}

// do carries out a call to the database: it counts the call, waits for its delay, applies it, and
// returns the scripted error.
func (d *Dialect) do(ctx context.Context, op Op, apply func(now time.Time)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	f, delay := d.arrive(op)
	if delay > 0 {
		if err := d.travel(ctx, delay, apply, f); err != nil {
			return err
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.record()
	if f == nil || f.applied {
		apply(now)
	}
	if f != nil {
		return &Error{Op: op, Class: f.class, Reason: f.reason}
	}
	return nil
}

// arrive counts the call and takes the fault that is scripted for it.
func (d *Dialect) arrive(op Op) (*fault, time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calls[op]++
	d.calls[Any]++
	if d.outage {
		return &fault{class: dialect.ClassTransient, reason: "outage"}, 0
	}
	if d.demoted && !reads[op] {
		return &fault{class: dialect.ClassReadOnly, reason: "the server is read-only"}, 0
	}
	delay := d.delays[op]
	if delay == 0 {
		delay = d.delays[Any]
	}
	for _, o := range []Op{op, Any} {
		if queue := d.faults[o]; len(queue) > 0 {
			d.faults[o] = queue[1:]
			return &queue[0], delay
		}
	}
	return nil, delay
}

// travel waits until the request arrives. If ctx ends first, the request goes on without its
// caller.
func (d *Dialect) travel(ctx context.Context, delay time.Duration, apply func(time.Time), f *fault) error {
	at := time.Now().Add(delay)
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
	}
	if f == nil || f.applied {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.delayed = append(d.delayed, pending{at: at, apply: apply})
	}
	return ctx.Err()
}

// record carries out the late requests that have arrived meanwhile, and returns the time by the
// database's clock. The caller holds mu.
func (d *Dialect) record() time.Time {
	waiting := d.delayed[:0]
	for _, p := range d.delayed {
		if p.at.After(time.Now()) {
			waiting = append(waiting, p)
			continue
		}
		p.apply(p.at.Add(d.offset))
	}
	clear(d.delayed[len(waiting):])
	d.delayed = waiting
	return d.now()
}

// each carries out one operation for each element of a slice.
func each[A, B any](ctx context.Context, d *Dialect, op Op, in []A, one func(now time.Time, a A) B) ([]B, error) {
	if len(in) == 0 {
		return nil, nil
	}
	out := make([]B, len(in))
	err := d.do(ctx, op, func(now time.Time) {
		for i, a := range in {
			out[i] = one(now, a)
		}
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}
