package store

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// Limits of group commit.
const (
	maxBatch    = 256                   // calls in one statement
	maxInFlight = 4                     // statements of one lane in flight, if they are slow
	stallAfter  = 20 * time.Millisecond // a statement in flight for longer may be stuck; calls don't wait for it

	longStatement = Grace / 5 // statements that take this long are not run in their caller's goroutine
)

// Batcher is group commit. While one statement is in flight, calls that arrive wait and are then
// sent together in the next one, with one commit. A call that finds nothing in flight is sent at
// once, alone, as its caller's own statement; it doesn't wait for others. A statement has at most
// one call for each key.
type Batcher[Q, A any] struct {
	*lane
	store     *Store
	call      func(context.Context, []Q) ([]A, error) // the dialect's
	key       func(Q) dialect.Key
	unbatched bool         // each call is sent alone, whatever is in flight
	usual     atomic.Int64 // how long a statement takes lately, in nanoseconds

	// guarded by the lane's mu
	waiting  []*Call[Q, A]
	inFlight int // statements of this batcher
	// batchLimit bounds the next statement. Each failure halves it, so that in the end each call is
	// sent alone.
	batchLimit int
}

// lane is what several batchers share. One statement of all their calls is in flight at a time, as
// long as it is quick. So two lanes need two connections, which is what a pool of database/sql
// keeps open by default: however many goroutines call, no connection is opened and closed again for
// one statement.
type lane struct {
	mu         sync.Mutex    // guards what follows
	flushes    []func() bool // one of each batcher
	next       int           // index in flushes
	queued     int           // calls that wait, in all batchers
	allFlights int           // statements in flight, of all batchers
	stallTimer *time.Timer
}

// Call is one caller's call that waits for the next statement or is in flight.
type Call[Q, A any] struct {
	ctx    context.Context // whose values the statement has if the call is alone in it
	q      Q
	Answer chan Result[A] // has room for the one answer
}

func newCall[Q, A any](ctx context.Context, q Q) *Call[Q, A] {
	return &Call[Q, A]{ctx: ctx, q: q, Answer: make(chan Result[A], 1)}
}

// Result is the answer to a call.
type Result[A any] struct {
	Value A
	Err   error
}

func newBatcher[Q, A any](
	s *Store, l *lane, call func(context.Context, []Q) ([]A, error), key func(Q) dialect.Key,
) *Batcher[Q, A] {
	b := &Batcher[Q, A]{lane: l, store: s, call: call, key: key}
	l.flushes = append(l.flushes, b.flush)
	return b
}

// Do sends the call and waits for the answer or the end of ctx. If ctx ends first, the call may be
// in flight, and its answer is dropped.
func (b *Batcher[Q, A]) Do(ctx context.Context, q Q) (A, error) {
	if b.unbatched {
		return One(b.execute(ctx, []Q{q}))
	}
	b.mu.Lock()
	if b.tryStart() {
		b.mu.Unlock()
		defer b.finish()
		return One(b.execute(ctx, []Q{q}))
	}
	call := newCall[Q, A](ctx, q)
	b.enqueue(call)
	b.mu.Unlock()
	select {
	case r := <-call.Answer:
		return r.Value, r.Err
	case <-ctx.Done():
		b.Withdraw(call)
		var none A
		return none, ctx.Err()
	}
}

// DoAll is Do for several calls with distinct keys. It sends them in one statement if nothing is in
// flight, or in as few as they fit into. After an error, any of them may have been carried out.
func (b *Batcher[Q, A]) DoAll(ctx context.Context, qs []Q) ([]A, error) {
	answers := make([]A, 0, len(qs))
	for chunk := range slices.Chunk(qs, maxBatch) {
		some, err := b.doSome(ctx, chunk)
		if err != nil {
			return nil, err
		}
		answers = append(answers, some...)
	}
	return answers, nil
}

// doSome is DoAll for calls that fit into one statement.
func (b *Batcher[Q, A]) doSome(ctx context.Context, qs []Q) (answers []A, err error) {
	if b.unbatched {
		for i := 0; err == nil && i < len(qs); i++ {
			var a A
			a, err = One(b.execute(ctx, qs[i:i+1]))
			answers = append(answers, a)
		}
		return answers, err
	}
	b.mu.Lock()
	if b.tryStart() {
		b.mu.Unlock()
		defer b.finish()
		return b.execute(ctx, qs)
	}
	var calls []*Call[Q, A]
	for _, q := range qs {
		calls = append(calls, newCall[Q, A](ctx, q))
		b.enqueue(calls[len(calls)-1])
	}
	b.mu.Unlock()
	for _, call := range calls {
		select {
		case r := <-call.Answer:
			answers, err = append(answers, r.Value), errors.Join(err, r.Err)
		case <-ctx.Done():
			b.Withdraw(call)
			err = errors.Join(err, ctx.Err())
		}
	}
	return answers, err
}

// Send sends the call, alone if nothing is in flight and otherwise in the next statement. It
// returns the answer, or a pending call if there is none yet.
//
// A call that is alone is run in the caller's goroutine, because waking another one costs more than
// the rest: Send then returns when it has been answered, but no later than Grace after the end of
// ctx. Otherwise Send returns at once. That is also so if statements take long: one that outlasts
// its caller has to be broken off, with its connection.
func (b *Batcher[Q, A]) Send(ctx context.Context, q Q) (answer Result[A], pending *Call[Q, A]) {
	if !b.unbatched {
		b.mu.Lock()
		alone := b.tryStart()
		if !alone {
			pending = newCall[Q, A](ctx, q)
			b.enqueue(pending)
		}
		b.mu.Unlock()
		if !alone {
			return answer, pending
		}
	}
	send := func(ctx context.Context) Result[A] {
		a, err := One(b.execute(ctx, []Q{q}))
		if !b.unbatched {
			b.finish()
		}
		return Result[A]{a, err}
	}
	var begun bool
	if ctx.Done() == nil || b.usual.Load() < int64(longStatement) {
		begun = b.store.RunInline(func() {
			op, end := b.store.outlast(ctx)
			defer end()
			answer = send(op)
		})
	} else {
		pending = newCall[Q, A](ctx, q)
		begun = b.store.Spawn(func() { pending.Answer <- send(b.store.Operation(ctx)) })
	}
	if !begun {
		if !b.unbatched {
			b.finish()
		}
		return Result[A]{Err: errClosed}, nil
	}
	return answer, pending
}

// execute runs a statement, and notes how long it took.
func (b *Batcher[Q, A]) execute(ctx context.Context, qs []Q) ([]A, error) {
	from := time.Since(b.store.made) // unlike time.Now, it reads one clock
	answers, err := b.call(ctx, qs)
	now := time.Since(b.store.made)
	usual := b.usual.Load()
	b.usual.Store(usual + (int64(now-from)-usual)/4) // of two at once, one may be forgotten
	if err == nil {
		b.store.answered.Store(int64(now))
	}
	return answers, err
}

// Withdraw takes a call back. It returns false if the call is in flight or answered.
func (b *Batcher[Q, A]) Withdraw(call *Call[Q, A]) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	i := slices.Index(b.waiting, call)
	if i >= 0 {
		b.waiting = slices.Delete(b.waiting, i, i+1)
		b.queued--
	}
	return i >= 0
}

// Idle reports whether none of this batcher's statements is in flight.
func (b *Batcher[Q, A]) Idle() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.inFlight == 0
}

// tryStart begins a statement if nothing is in flight or waiting. The caller holds mu.
func (b *Batcher[Q, A]) tryStart() bool {
	if b.allFlights > 0 || b.queued > 0 {
		return false
	}
	b.allFlights++
	b.inFlight++
	return true
}

// enqueue adds the call to the next statement. The caller holds mu.
func (b *Batcher[Q, A]) enqueue(call *Call[Q, A]) {
	b.waiting = append(b.waiting, call)
	b.queued++
	b.armStallTimer()
}

// armStallTimer bounds how long calls wait behind a slow statement. The caller holds mu.
func (l *lane) armStallTimer() {
	if l.allFlights < maxInFlight && l.stallTimer == nil {
		l.stallTimer = time.AfterFunc(stallAfter, func() {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.stallTimer = nil
			if l.allFlights < maxInFlight {
				l.flushNext()
			}
		})
	}
}

// flushNext flushes the next batcher that has waiting calls, in turn. The caller holds mu.
func (l *lane) flushNext() {
	for range l.flushes {
		flush := l.flushes[l.next]
		l.next = (l.next + 1) % len(l.flushes)
		if flush() {
			break
		}
	}
	if l.queued > 0 {
		l.armStallTimer()
	}
}

// finish ends a statement, and flushes the calls that have waited for it.
func (b *Batcher[Q, A]) finish() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.allFlights--
	b.inFlight--
	if b.stallTimer != nil {
		b.stallTimer.Stop()
		b.stallTimer = nil
	}
	if b.queued > 0 {
		b.flushNext()
	}
}

// flush sends the waiting calls of this batcher, first come, first served, as many as fit into one
// statement. It returns false if none waits or the Store is shut. The caller holds mu.
func (b *Batcher[Q, A]) flush() bool {
	if b.batchLimit == 0 {
		b.batchLimit = maxBatch
	}
	var batch, rest []*Call[Q, A]
	keys := make(map[dialect.Key]bool)
	for _, call := range b.waiting {
		if k := b.key(call.q); len(batch) < b.batchLimit && !keys[k] {
			keys[k] = true
			batch = append(batch, call)
		} else {
			rest = append(rest, call)
		}
	}
	b.waiting = rest
	b.queued -= len(batch)
	if len(batch) == 0 {
		return false
	}
	if !b.store.Spawn(func() { b.send(batch) }) {
		for _, call := range batch {
			call.Answer <- Result[A]{Err: errClosed}
		}
		return false
	}
	b.allFlights++
	b.inFlight++
	return true
}

// send sends the batch in one statement and delivers the results. After a permanent error it sends
// each call again alone, so that one bad call can't fail the others.
func (b *Batcher[Q, A]) send(batch []*Call[Q, A]) {
	ctx := context.Background()
	if len(batch) == 1 {
		ctx = batch[0].ctx
	}
	ctx = b.store.Operation(ctx)
	defer b.finish()
	qs := make([]Q, len(batch))
	for i, call := range batch {
		qs[i] = call.q
	}
	answers, err := b.execute(ctx, qs)
	b.adjustLimit(err)
	each := err != nil && len(batch) > 1 && b.store.Classify(err) == dialect.ClassPermanent
	for i, call := range batch {
		switch {
		case each:
			a, err := One(b.execute(ctx, qs[i:i+1]))
			call.Answer <- Result[A]{a, err}
		case err != nil:
			call.Answer <- Result[A]{Err: err}
		default:
			call.Answer <- Result[A]{Value: answers[i]}
		}
	}
}

// adjustLimit makes the next statement smaller after a failure, and larger again after a success.
func (b *Batcher[Q, A]) adjustLimit(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err != nil {
		b.batchLimit = max(1, b.batchLimit/2)
	} else {
		b.batchLimit = min(2*b.batchLimit, maxBatch)
	}
}
