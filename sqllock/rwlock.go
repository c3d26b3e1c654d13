package sqllock

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock/internal/request"
	"github.com/sqllock/sqllock/sqllock/internal/store"
)

// RWLock is a lock that many readers share or one writer holds alone, across all processes. Its
// methods are safe for concurrent use.
//
// A writer that waits for readers keeps new readers out and so does not starve. A reader that died
// blocks writers until its lease has expired. Readers do not wait for each other. Do not take the
// lock again while you hold it shared: a waiting writer would block the second acquisition and wait
// for the first.
type RWLock struct {
	c    *Client
	name string
}

// RWLock returns the readers-writer lock of that name. It does not call the database.
//
// A reader's acquisition takes two statements, one of which writes, and more if it needs a new row.
// A writer's takes one more than [Client.Acquire]. Writers' fences can be compared with each other;
// a reader's fence can't be compared with any other. On Galera, readers get [ErrUnsupported],
// because a server may not have seen yet what was written through another server.
func (c *Client) RWLock(name string) *RWLock { return &RWLock{c: c, name: name} }

// Name returns the lock's name.
func (l *RWLock) Name() string { return l.name }

// Acquire takes the lock as a writer. It waits until the previous writer and all readers have
// released it, or ctx ends. Its errors are those of [Client.Acquire].
func (l *RWLock) Acquire(ctx context.Context, opts ...Option) (*Lock, error) {
	req, err := l.writerRequest(opts)
	if err != nil {
		return nil, err
	}
	return acquirer{l.c.core}.acquire(ctx, req)
}

// TryAcquire takes the lock as a writer if nobody holds it. Its errors are those of
// [Client.TryAcquire].
func (l *RWLock) TryAcquire(ctx context.Context, opts ...Option) (*Lock, error) {
	req, err := l.writerRequest(opts)
	if err != nil {
		return nil, err
	}
	return acquirer{l.c.core}.try(req.addHeld(ctx), req)
}

// AcquireShared takes the lock as a reader. It waits until no writer holds the lock or waits for
// it, or ctx ends. Its errors are those of [Client.Acquire].
func (l *RWLock) AcquireShared(ctx context.Context, opts ...SharedOption) (*Lock, error) {
	req, err := l.readerRequest(opts)
	if err != nil {
		return nil, err
	}
	return acquirer{l.c.core}.acquire(ctx, req)
}

// TryAcquireShared takes the lock as a reader if no writer holds it or waits for it. Its errors are
// those of [Client.TryAcquire].
func (l *RWLock) TryAcquireShared(ctx context.Context, opts ...SharedOption) (*Lock, error) {
	req, err := l.readerRequest(opts)
	if err != nil {
		return nil, err
	}
	return acquirer{l.c.core}.try(req.addHeld(ctx), req)
}

// Do runs fn under the lock as a writer, as [Client.Do] does.
func (l *RWLock) Do(ctx context.Context, fn func(ctx context.Context, lock *Lock) error, opts ...Option) error {
	return do(ctx, l.name, fn, func() (*Lock, error) { return l.Acquire(ctx, opts...) })
}

// DoShared runs fn under the lock as a reader, as [Client.Do] does.
func (l *RWLock) DoShared(
	ctx context.Context, fn func(ctx context.Context, lock *Lock) error, opts ...SharedOption,
) error {
	return do(ctx, l.name, fn, func() (*Lock, error) { return l.AcquireShared(ctx, opts...) })
}

// Holders returns the writer and the readers that hold the lock, including those whose leases have
// expired and that the reaper has not removed yet. It blocks until the database has answered or ctx
// ends.
func (l *RWLock) Holders(ctx context.Context) ([]Info, error) {
	infos, err := lister{l.c.core}.infos(ctx, l.name, request.SlotWriter, request.SlotWriter+1)
	if err != nil {
		return nil, err
	}
	readers, err := lister{l.c.core}.infos(ctx, l.name, request.SlotReaders, math.MaxInt32)
	return append(infos, readers...), err
}

func (l *RWLock) writerRequest(opts []Option) (acquisition, error) {
	return newRequest(l.c.core, request.Request{Name: l.name, Slot: request.SlotWriter}, opts, Option.ApplyLock)
}

func (l *RWLock) readerRequest(opts []SharedOption) (acquisition, error) {
	reader := request.Request{Name: l.name, Slot: request.SlotReaders, Shared: true}
	return newRequest(l.c.core, reader, opts, SharedOption.ApplyShared)
}

// Readers and writers of one name exclude each other by the flag principle (Herlihy and Shavit, The
// Art of Multiprocessor Programming, section 2.8): each first raises a flag of its own and then
// checks the other's. A reader's flag is a row of its own, so readers don't block each other. The
// writers' flag is the row of request.SlotWriter, which one writer holds at a time. Both rows are
// locks like all others. A flag is up when its Acquire has returned, and Get sees what was
// committed before it began. So of a reader and a writer, the one that raises its flag later sees
// the other's.
//
// A writer that finds readers keeps its flag up and waits for them to leave. Readers that arrive
// meanwhile withdraw, so writers don't starve. The flag of a dead reader or writer is taken down
// like any dead holder's lock, unless a transaction guards it.

// takeShare takes the lock as a reader.
func (a leaseBackend) takeShare(ctx, caller context.Context, l *lease, req acquisition, readFirst bool) (*Lock, error) {
	if a.c.store.clusterWrites.Load() {
		l.removeUser()
		return nil, fmt.Errorf("sqllock: %w: a reader of RWLock %q: another server of the cluster may not have seen "+
			"yet who reads and who writes; use an exclusive lock, or a Semaphore", ErrUnsupported, req.Name)
	}
	flags := flags{a.c}
	if readFirst {
		if err := flags.noWriter(ctx, l, req.Name); err != nil {
			l.removeUser()
			return nil, err
		}
	}
	req.Slot = a.c.readerSlots.take(req.Name)
	lock, err := a.takeRow(ctx, caller, l, req, false)
	if err != nil {
		return nil, err
	}
	if err = flags.noWriter(ctx, l, req.Name); err == nil && lock.check() != nil {
		err = l.tooLate(req.Name)
	}
	if err != nil {
		lock.discard(ctx)
		return nil, err
	}
	return lock, nil
}

// flags reads the flags by which the readers and the writer of an [RWLock] see each other.
type flags struct{ *core }

// noWriter returns nil if no writer's flag is up. Otherwise the error says whose flag is up.
func (f flags) noWriter(ctx context.Context, l *lease, name string) error {
	var row dialect.Row
	for range rounds {
		found := rowFree
		_, err := f.store.Retry(ctx, func(ctx context.Context) error {
			rows, err := f.store.Get(ctx, []dialect.Key{{Name: name, Slot: request.SlotWriter}})
			if err != nil {
				return err
			}
			row = rows[0]
			f.expiry.Correct(&row)
			switch {
			case row.Held && row.Lease != dialect.LeaseLive:
				found, err = f.clear(ctx, &row) // it may be barred now: read it again
			case row.Held || row.FreeIn > 0:
				found = rowHeld
			default:
				row = dialect.Row{}
			}
			return err
		})
		switch {
		case err != nil:
			return f.store.failed(fmt.Sprintf("checking for writers of %q", name), err)
		case row.Name == "":
			return nil
		case found != rowFree:
			return heldError(row, l.id)
		}
	}
	return heldError(row, l.id)
}

// noReader returns nil if no reader's flag is up and the writer's own flag still is. Otherwise the
// error names one of the readers.
func (f flags) noReader(ctx context.Context, lock *Lock) error {
	name := lock.Name()
	rows, err := lister(f).rows(ctx, name, request.SlotWriter, math.MaxInt32)
	if err != nil {
		return err
	}
	if len(rows) == 0 || rows[0].Owner != lock.claim.Owner {
		lock.cancel(lost(name, "another took it over before all readers had left"))
		return lock.lease.tooLate(name)
	}
	var reader *HeldError
	n := 0
	for _, row := range rows {
		if row.Slot < request.SlotReaders {
			continue
		}
		found := rowHeld
		if row.Lease != dialect.LeaseLive {
			if found, err = f.clearRetried(ctx, &row); err != nil {
				return f.store.failed(fmt.Sprintf("freeing %q of a dead reader", name), err)
			}
		}
		if found == rowFree {
			continue
		}
		if n++; reader == nil || row.Remaining < reader.Remaining {
			reader = heldError(row, lock.lease.id)
		}
	}
	if reader == nil {
		return nil
	}
	reader.reason = fmt.Sprintf("it has %d readers, one of them: %s", n, reader.reason)
	return reader
}

// rows returns the held rows of a name whose slot is at least from and less than to.
func (l lister) rows(ctx context.Context, name string, from, to int) (rows []dialect.Row, err error) {
	rows, _, err = store.Retried(ctx, l.store.Store, func(ctx context.Context) ([]dialect.Row, error) {
		return l.rowsOf(ctx, name, from, to, true)
	})
	if err != nil {
		return nil, l.store.failed(fmt.Sprintf("reading the holders of %q", name), err)
	}
	return rows, nil
}

// Intervals at which a writer polls while its flag is up. The readers are about to leave, and no
// new ones come.
const (
	firstLeaving = 5 * time.Millisecond
	maxLeaving   = 100 * time.Millisecond
)

// awaitReaders waits until all readers have left. lock is the writer's. It returns neither a lock
// nor an error if the lock was lost meanwhile.
func (w *waiter) awaitReaders(ctx context.Context, lock *Lock) (*Lock, error) {
	w.req.entry.remove()
	w.req.entry = nil
	for poll := firstLeaving; ; poll = min(poll*3/2, maxLeaving) {
		err := flags{w.c.core}.findReaders(ctx, lock)
		switch {
		case err == nil && lock.check() == nil:
			return lock, nil
		case lock.check() != nil && ctx.Err() == nil:
			lock.discardLater()
			return nil, nil
		case ctx.Err() != nil || !w.observe(err) && !w.c.store.unanswered(err) || !w.rest(ctx, poll):
			lock.discardLater()
			return nil, w.waitError(ctx, err)
		}
	}
}

// rest waits until a reader of this process has left, but no longer than d. It returns false if
// waiting is pointless, because ctx has ended or the Client is closed.
func (w *waiter) rest(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(store.Jitter(d))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-w.queue.freed:
	case <-ctx.Done():
		return false
	case <-w.c.store.Open().Done():
		return false
	}
	return true
}

// waitError returns the error of a writer that gives up.
func (w *waiter) waitError(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return gaveUp(ctx, w.req.Name, w.held)
	case w.c.store.Open().Err() != nil:
		return errClosed
	}
	return err
}

// checkNoReaders returns a writer's lock if there are no readers. Otherwise it releases the lock.
func (f flags) checkNoReaders(ctx context.Context, lock *Lock) (*Lock, error) {
	_, abandoned, err := store.RunDetached(ctx, f.store.Store, func() (none struct{}, err error) {
		opCtx := f.store.Operation(ctx)
		if err = f.noReader(opCtx, lock); err == nil && lock.check() != nil {
			err = lock.lease.tooLate(lock.Name())
		}
		if err != nil {
			lock.discard(opCtx)
		}
		return none, err
	}, func(struct{}) { lock.discardLater() })
	switch {
	case abandoned:
		return nil, gaveUp(ctx, lock.Name(), nil)
	case err != nil:
		lock.discardLater() // in case the function above never ran
		return nil, err
	}
	return lock, nil
}

// discard releases a lock that is not needed. If that fails, it is retried in the background.
func (l *Lock) discard(ctx context.Context) {
	if err := l.Release(ctx); err != nil {
		l.c.log.Debug("sqllock: releasing a lock that is not needed failed", "lock", l.Name(), "err", err)
	}
}

// findReaders returns an error if there are readers, for a writer whose flag is up. It returns as
// soon as ctx ends.
func (f flags) findReaders(ctx context.Context, lock *Lock) error {
	check := func() (none struct{}, err error) { return none, f.noReader(f.store.Operation(ctx), lock) }
	_, _, err := store.RunDetached(ctx, f.store.Store, check, func(struct{}) {})
	return err
}

// readerSlots keeps the slots that readers of this process have used, by name. A reader that uses
// one of them again finds a row and need not insert one.
type readerSlots struct {
	mu   sync.Mutex
	free map[string][]int
}

const (
	maxKeptSlots    = 64      // number of slots of one name that are kept
	readerSlotRange = 1 << 30 // number of slots among which a new one is chosen at random
)

func (s *readerSlots) take(name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	free := s.free[name]
	if len(free) == 0 {
		return request.SlotReaders + rand.N(readerSlotRange)
	}
	s.free[name] = free[:len(free)-1]
	return free[len(free)-1]
}

// leave keeps a slot that was released for the next reader.
func (s *readerSlots) leave(name string, slot int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.free == nil || len(s.free) >= maxNames && s.free[name] == nil {
		s.free = make(map[string][]int)
	}
	if len(s.free[name]) < maxKeptSlots {
		s.free[name] = append(s.free[name], slot)
	}
}

// reads reports whether the lock is a reader's.
func (l *Lock) reads() bool { return l.claim.Slot >= request.SlotReaders }

// writes reports whether the lock is an RWLock's writer's.
func (l *Lock) writes() bool { return l.claim.Slot == request.SlotWriter }
