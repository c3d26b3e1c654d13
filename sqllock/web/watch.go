package web

import (
	"context"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/sqllock/sqllock/sqllock/inspect"
)

const (
	// maxLocks is how many locks, and how many waiters, are read for the pages.
	maxLocks = 50_000

	// share is the part of the time that is spent on reading at most: one in so many.
	share = 20

	readTimeout = 15 * time.Second
)

// reading is what the database said, and when. It is shared and never changed, but for the cache.
type reading struct {
	*inspect.Snapshot           // the last one that could be read; nil if there was none
	at                time.Time // when that was
	err               error     // why it could not be read again
	tried             time.Time
	number            int64 // counts the readings, from 1

	cache fragments
}

// watcher reads the database for all viewers together.
type watcher struct {
	read   func(ctx context.Context) (*inspect.Snapshot, error)
	seen   func(r *reading) // is called with each new reading
	every  time.Duration
	failed func(err error)

	mu      sync.Mutex
	last    *reading
	begun   int64         // the number of the last reading that has begun
	took    time.Duration // to read it
	viewers int
	stop    context.CancelFunc // ends the goroutine that reads for the viewers
	flight  chan struct{}      // closed when the reading that is under way is over; nil if there is none
	next    chan struct{}      // closed when there is a new reading
}

func (h *handler) newWatcher(all bool) *watcher {
	return &watcher{
		read: func(ctx context.Context) (*inspect.Snapshot, error) {
			return inspect.Read(ctx, h.locks, all, maxLocks)
		},
		seen:  h.history.see,
		every: h.RefreshEvery,
		failed: func(err error) {
			h.Logger.Warn("sqllock: the locks can't be read for the page", "error", err)
		},
		next: make(chan struct{}),
	}
}

// fresh returns a reading that is as old as those that a viewer gets.
func (w *watcher) fresh(ctx context.Context) (*reading, error) { return w.get(ctx, w.pause()) }

// pause returns how long to wait between two readings.
func (w *watcher) pause() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return max(w.every, share*w.took)
}

// get returns a reading that is at most so old; with 0, one that begins after the call. If there is
// none, it reads the database, once for all that wait. It returns an error if ctx ends.
func (w *watcher) get(ctx context.Context, age time.Duration) (*reading, error) {
	w.mu.Lock()
	begun := w.begun
	w.mu.Unlock()
	for {
		w.mu.Lock()
		last := w.last
		if last != nil && (age > 0 && time.Since(last.tried) <= age || last.number > begun) {
			w.mu.Unlock()
			return last, nil
		}
		flight := w.refreshLocked(ctx)
		w.mu.Unlock()
		select {
		case <-flight:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// refreshLocked begins to read the database, unless that is under way. The caller holds mu.
func (w *watcher) refreshLocked(ctx context.Context) (flight <-chan struct{}) {
	if w.flight == nil {
		w.flight = make(chan struct{})
		w.begun++
		go w.refresh(context.WithoutCancel(ctx), w.begun) // others may wait for it too
	}
	return w.flight
}

// refresh reads the database.
func (w *watcher) refresh(ctx context.Context, number int64) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	r := &reading{tried: time.Now(), number: number}
	r.Snapshot, r.err = w.read(ctx)
	r.at = r.tried
	w.mu.Lock()
	before := w.last
	w.mu.Unlock()
	switch {
	case r.err == nil:
		w.seen(r)
	case before != nil:
		r.Snapshot, r.at = before.Snapshot, before.at
	}
	if r.err != nil && (before == nil || before.err == nil) {
		w.failed(r.err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.last = r; r.err == nil { // an outage says nothing about how long it takes
		w.took = time.Since(r.tried)
	}
	close(w.flight)
	close(w.next)
	w.flight, w.next = nil, make(chan struct{})
}

// view counts a viewer until leave is called. While there are viewers, the database is read all the
// time.
func (w *watcher) view() (leave func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.viewers++; w.viewers == 1 {
		ctx, cancel := context.WithCancel(context.Background())
		w.stop = cancel
		go w.loop(ctx)
	}
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.viewers--; w.viewers == 0 {
			w.stop()
		}
	}
}

// loop reads the database again and again until ctx ends.
func (w *watcher) loop(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(w.pause()):
		}
		if _, err := w.get(ctx, 0); err != nil {
			return
		}
	}
}

// after waits for a reading that is newer than r, until ctx ends.
func (w *watcher) after(ctx context.Context, r *reading) (*reading, error) {
	for {
		w.mu.Lock()
		last, next := w.last, w.next
		w.mu.Unlock()
		if last != nil && last.number > r.number {
			return last, nil
		}
		select {
		case <-next:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// lately is how old the database's last answer may be for /healthz.
const lately = 15 * time.Second

// healthz reports whether the database answers.
func (h *handler) healthz(w http.ResponseWriter, r *http.Request) {
	last, err := h.held.get(r.Context(), max(lately, 3*h.RefreshEvery))
	if err == nil && last.err != nil { // an answer that is due now counts, not one of a while ago
		last, err = h.held.get(r.Context(), h.RefreshEvery)
	}
	if err != nil || last.err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, "the database doesn't answer\n")
		return
	}
	_, _ = io.WriteString(w, "ok\n")
}
