package sqllock

import (
	"errors"
	"slices"
	"time"

	"github.com/sqllock/sqllock/sqllock/internal/fail"
	"github.com/sqllock/sqllock/sqllock/internal/request"
)

// The options of one acquisition. Each kind of lock takes the options that have a meaning for it,
// and the compiler refuses the others.
type (
	// Option is an option of [Client.Acquire], [Client.TryAcquire], [Client.Do] and [Client.DoTx],
	// of an [RWLock]'s exclusive lock, and of a [Semaphore]'s permits.
	Option interface{ request.Lock }

	// SharedOption is an option of [RWLock.AcquireShared], [RWLock.TryAcquireShared] and
	// [RWLock.DoShared].
	SharedOption interface{ request.Shared }

	// SetOption is an option of [Client.AcquireAll] and [Client.TryAcquireAll].
	SetOption interface{ request.Set }

	// SessionOption is an option of the methods of [SessionLocker].
	SessionOption interface{ request.Session }

	// LeaseOption is an option of everything that is held under a lease.
	LeaseOption interface {
		Option
		SharedOption
		SetOption
		request.Election
		request.Quorum
	}

	// WaitOption is an option of every lock that can be waited for.
	WaitOption interface {
		Option
		SharedOption
		SetOption
		SessionOption
		request.Quorum
	}

	// QueueOption is an option of the lease locks of one database.
	QueueOption interface {
		Option
		SharedOption
		SetOption
	}

	// DelayOption is an option of everything that only one holder has at a time.
	DelayOption interface {
		Option
		SetOption
		request.Election
	}
)

// WithTTL holds the lock under a lease of that TTL, from [MinTTL] to [MaxTTL], instead of
// [Options].TTL. All locks of one TTL share a heartbeat.
func WithTTL(ttl time.Duration) LeaseOption {
	return request.Option(func(req *request.Request) { req.TTL = ttl })
}

// WithNote adds a note to the acquisition for people who ask about the lock, such as a build number
// or a URL.
func WithNote(note string) LeaseOption {
	return request.Option(func(req *request.Request) { req.Note = note })
}

// HoldAtLeast keeps others from the lock until d has passed since the acquisition, even if the lock
// is released earlier. It is for scheduled jobs: a host whose clock is a little behind must not
// repeat a job that another host has finished quickly. It also applies to a lock that was granted
// after its caller had left.
func HoldAtLeast(d time.Duration) Option {
	return request.Option(func(req *request.Request) { req.HoldAtLeast = d })
}

// LockDelay keeps others from the lock for d after the holder's lease has expired. It has no effect
// after a release. It is for resources that can't check a fence: during the delay, requests of the
// failed holder that are still on their way come to an end (Burrows, The Chubby lock service, 2006,
// section 2.4).
func LockDelay(d time.Duration) DelayOption {
	return request.Option(func(req *request.Request) { req.LockDelay = d })
}

// OnWait calls f with the holder of the lock while an acquisition waits:
//
//   - when the acquisition finds the lock held, and again whenever it finds that the holder has
//     changed;
//   - when the database can't be used, with [HeldError.Outage] set, and with the holder again when
//     it can.
//
// It makes one call at a time, and reads the lock again only after f has returned. If several
// goroutines of one process wait for the lock, only the first of them calls f. TryAcquire never
// calls it.
func OnWait(f func(*HeldError)) WaitOption {
	return request.Option(func(req *request.Request) {
		if f == nil {
			return
		}
		req.OnWait = func(err error) {
			if held, ok := errors.AsType[*HeldError](err); ok {
				f(held)
			}
		}
	})
}

// Fair makes a caller wait in a queue in the database, without passing ahead of anybody in it.
// Callers that use Fair are served first come, first served across processes. A caller without Fair
// may take the lock whenever it is free, so all callers should use Fair.
//
// A waiter that dies blocks those behind it until its lease has expired. TryAcquire with Fair fails
// while another waits. Fair costs one more statement if the lock is free and two more if it is not.
func Fair() QueueOption { return request.Option(func(req *request.Request) { req.Fair = true }) }

// Holding tells the detection of deadlocks ([ErrDeadlock]) which locks the caller holds while it
// waits, in place of what ctx says. It is for code that holds a lock and does not pass on the
// lock's ctx. A ctx that comes from [Lock.Context] or [Client.Do] already says that the lock is
// held, together with the locks that were held when it was acquired.
//
// Holding without locks says that none is held. Use it for background work that the holder of a
// lock does not wait for before it releases the lock, for instance with a ctx from
// [context.WithoutCancel].
func Holding(locks ...*Lock) QueueOption {
	return request.Option(func(req *request.Request) {
		for i, l := range locks {
			if l == nil || l.c == nil {
				req.Err = fail.Invalid("Holding of lock %q: its lock %d is nil, or wasn't acquired", req.Name, i+1)
			}
		}
		req.Held = slices.Clip(append([]*Lock{}, locks...))
	})
}
