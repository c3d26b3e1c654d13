package sqllock

import (
	"context"
	"time"
)

// A tracer is told what a Client does: see [Options].Tracer. It implements one or several of the
// interfaces below. Each has a method for the beginning of something and one for its end. The
// method for the beginning returns ctx, or a context derived from it, which the method for the end
// gets. Methods are called by the goroutine that does the work, which they delay. They may be
// called concurrently, and must not call the Client.
type (
	// AcquireTracer traces acquisitions: calls of Acquire, TryAcquire, AcquireAll and so on, of
	// every kind of lock, and the campaigns of elections. The statements of the acquisition get
	// the context that AcquireStart returns. The lock's own context does not have its values.
	//
	// Transaction locks, the votes of a Quorum and requests to hand over are not traced.
	AcquireTracer interface {
		// AcquireStart is called at the beginning of an acquisition.
		AcquireStart(ctx context.Context, data AcquireStartData) context.Context

		// AcquireEnd is called at its end, with the ctx that AcquireStart has returned.
		AcquireEnd(ctx context.Context, data AcquireEndData)
	}

	// WaitTracer traces the part of an acquisition in which it waits for a holder, or behind other
	// goroutines of this process. A lock that was free at once has no wait.
	WaitTracer interface {
		// WaitStart is called at the beginning of a wait.
		WaitStart(ctx context.Context, data WaitStartData) context.Context

		// WaitEnd is called at its end, with the ctx that WaitStart has returned.
		WaitEnd(ctx context.Context, data WaitEndData)
	}

	// HoldTracer traces how long each lock is held: from when its acquisition returns until it is
	// released or lost. HoldStart is called after AcquireEnd, with the ctx of the acquisition's
	// caller. HoldEnd is called once, possibly by another goroutine.
	HoldTracer interface {
		// HoldStart is called at the beginning of the time for which a lock is held.
		HoldStart(ctx context.Context, data HoldStartData) context.Context

		// HoldEnd is called at its end, with the ctx that HoldStart has returned.
		HoldEnd(ctx context.Context, data HoldEndData)
	}

	// HeartbeatTracer traces heartbeats.
	HeartbeatTracer interface {
		// HeartbeatStart is called at the beginning of a heartbeat.
		HeartbeatStart(ctx context.Context, data HeartbeatStartData) context.Context

		// HeartbeatEnd is called at its end, with the ctx that HeartbeatStart has returned.
		HeartbeatEnd(ctx context.Context, data HeartbeatEndData)
	}

	// GuardTracer traces calls of [Lock.Guard].
	GuardTracer interface {
		// GuardStart is called at the beginning of a call of Guard.
		GuardStart(ctx context.Context, data GuardStartData) context.Context

		// GuardEnd is called at its end, with the ctx that GuardStart has returned.
		GuardEnd(ctx context.Context, data GuardEndData)
	}

	// BreakTracer traces calls of [Client.Break].
	BreakTracer interface {
		// BreakStart is called at the beginning of a call of Break.
		BreakStart(ctx context.Context, data BreakStartData) context.Context

		// BreakEnd is called at its end, with the ctx that BreakStart has returned.
		BreakEnd(ctx context.Context, data BreakEndData)
	}

	// TermTracer traces the terms for which this process leads an election.
	TermTracer interface {
		// TermStart is called at the beginning of a term.
		TermStart(ctx context.Context, data TermStartData) context.Context

		// TermEnd is called at its end, with the ctx that TermStart has returned.
		TermEnd(ctx context.Context, data TermEndData)
	}
)

// LockData says which lock an event is about.
type LockData struct {
	Name   string // the lock's name
	Kind   Kind   // the kind of lock
	Shared bool   // as a reader of an RWLock, or a shared session lock
}

// AcquireStartData describes an acquisition that begins.
type AcquireStartData struct {
	LockData          // of AcquireAll, the first lock in the order of their names
	Names    []string // all names of AcquireAll, in their order; nil for a single lock
	Try      bool     // it does not wait for a holder
}

// AcquireEndData describes an acquisition that has ended.
type AcquireEndData struct {
	AcquireStartData
	Duration time.Duration // including the wait
	Outcome  Outcome       // how it ended
	Err      error         // nil if the lock was acquired
	Fence    int64         // the fencing token; 0 for a session lock and for AcquireAll
}

// Outcome is how an acquisition ended, in one word.
type Outcome string

// The outcomes of acquisitions.
const (
	OutcomeAcquired    Outcome = "acquired"     // the caller has the lock
	OutcomeNotAcquired Outcome = "not_acquired" // TryAcquire found it held
	OutcomeGaveUp      Outcome = "gave_up"      // ctx ended first
	OutcomeDeadlock    Outcome = "deadlock"     // ErrDeadlock
	OutcomeClosed      Outcome = "closed"       // ErrClosed
	OutcomeFailed      Outcome = "failed"       // the database failed or refused
)

// WaitStartData describes a wait that begins.
type WaitStartData struct {
	LockData
	Holder *HeldError // the holder; nil if the caller waits behind a goroutine of this process
}

// WaitEndData describes a wait that has ended.
type WaitEndData struct {
	LockData
	Holder   *HeldError    // the holder that was seen last; nil if none was
	Duration time.Duration // of the wait
	Outcome  Outcome       // of the acquisition
	Err      error         // of the acquisition; nil if the lock was acquired
}

// HoldStartData describes a lock that was acquired.
type HoldStartData struct {
	LockData
	Fence  int64 // the fencing token; 0 for a session lock
	Permit int   // which permit of a semaphore; 0 for other kinds
}

// HoldEndData describes a lock that is not held any more.
type HoldEndData struct {
	HoldStartData
	Duration time.Duration // for how long it was held
	End      End           // how it ended
	Err      error         // why the lock's context ended; nil if it was released
}

// End is how the time ended for which a lock was held, in one word.
type End string

// The ways in which a lock ends.
const (
	EndReleased End = "released" // by its holder
	EndLost     End = "lost"     // its lease could not be renewed in time, or had expired
	EndBroken   End = "broken"   // its row names another although its lease is alive, for instance because of Break
	EndClosed   End = "closed"   // its Client was closed
)

// HeartbeatStartData describes a heartbeat that is sent.
type HeartbeatStartData struct {
	TTL     time.Duration // of the lease, or the KeepAlive of session locks
	Session bool          // it is the heartbeat of the session locks
	Held    int           // how many locks it keeps
}

// HeartbeatEndData describes the reply to a heartbeat.
type HeartbeatEndData struct {
	HeartbeatStartData
	Duration time.Duration // until the reply
	Margin   time.Duration // what was left of the lease before the reply counted
	Err      error         // nil if it succeeded
	Over     bool          // the lease is over, and the locks are lost
}

// GuardStartData describes a call of Guard.
type GuardStartData struct {
	LockData
	Fence int64 // the fencing token of the lock
}

// GuardEndData describes the result of a call of Guard.
type GuardEndData struct {
	GuardStartData
	Duration time.Duration // of the call
	Refused  bool          // because the lock is lost
	Err      error         // an ErrLost if it refused; nil if the lock is held
}

// BreakStartData describes a call of Break.
type BreakStartData struct {
	Name  string // the lock's name
	Fence int64  // the fencing token of the acquisition that is to end
}

// BreakEndData describes the result of a call of Break.
type BreakEndData struct {
	BreakStartData
	Duration time.Duration // of the call
	Found    Info          // how Break found the lock
	Err      error         // nil if the lock was broken
}

// TermStartData describes a term that begins.
type TermStartData struct {
	Election string // the election's name
	Number   int64  // the term's number, a fencing token
	Leader   string // this process's Options.Holder
}

// TermEndData describes a term that has ended.
type TermEndData struct {
	TermStartData
	Duration time.Duration // of the term
	End      End           // how it ended; never EndBroken
	Err      error         // why the term's context ended; nil if this process has resigned
}

// Tracers returns a tracer that is all of the given ones, for instance one for metrics and one for
// spans. Their methods are called in this order.
func Tracers(tracers ...any) any { return joinedTracers(tracers) }

type joinedTracers []any
