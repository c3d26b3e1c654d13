package inspect

import (
	"context"
	"time"

	"github.com/sqllock/sqllock/sqllock"
)

// Details are the holders of all locks of a name, of every kind, the processes that wait for them,
// and what was broken before.
type Details struct {
	Name    string   `json:"name"`           // the locks' name
	Holders []Lock   `json:"holders"`        // with those whose leases have expired
	Queue   []Waiter `json:"queue"`          // in the order of their arrival
	More    bool     `json:"more,omitempty"` // Queue is a part of what there is

	Broken       []Broken `json:"broken_before,omitempty"`       // the last one first
	BrokenUnread string   `json:"broken_before_error,omitempty"` // why Broken could not be read
}

// Waiter is a process that waits for a lock.
type Waiter struct {
	Kind     sqllock.Kind `json:"kind"`               // the kind of lock
	Holder   string       `json:"holder"`             // the process, by its Options.Holder
	Note     string       `json:"note,omitempty"`     // of what it waits for
	Since    time.Time    `json:"since"`              // when it began to wait
	Priority int          `json:"priority,omitempty"` // of a candidate in an election
	Holds    []Held       `json:"holds,omitempty"`    // what its process holds meanwhile
}

// Held is a lock that the process of a waiter holds, with those who wait for it.
type Held struct {
	Name    string       `json:"name"`              // the lock's name
	Kind    sqllock.Kind `json:"kind"`              // the kind of lock
	Fence   int64        `json:"fence"`             // of the acquisition
	Waiters []Waiter     `json:"waiters,omitempty"` // who waits for it; left out below itself
}

// maxForest is how many waiters and locks the forest of a name has at most. Without a limit it
// could be as large as the number of paths through all queues.
const maxForest = 1000

// Show reads the holders and the queue of a name, and what was broken before. It blocks until the
// database has answered or ctx ends.
func Show(ctx context.Context, locks *sqllock.Client, name string) (*Details, error) {
	infos, err := locks.Holders(ctx, name)
	if err != nil {
		return nil, err
	}
	d := &Details{Name: name, Holders: OfAll(infos), Queue: []Waiter{}}
	if err := d.ReadBroken(ctx, locks); err != nil {
		return nil, err
	}
	queue, err := locks.Queue(ctx, name)
	if err != nil || len(queue) == 0 {
		return d, err
	}
	addWaiters(d.Holders, queue)
	s, err := Read(ctx, locks, false, 0)
	if err != nil {
		return nil, err
	}
	d.Queue, d.More = s.forest(name)
	return d, nil
}

// OfAll returns the Locks that the Infos describe, without their waiters.
func OfAll(infos []sqllock.Info) []Lock {
	locks := make([]Lock, len(infos))
	for i, info := range infos {
		locks[i] = Of(info)
	}
	return locks
}

// Show returns the holders and the queue of a name. Where Read was called with all, a lock that
// nobody holds is among the holders, with its state.
func (s *Snapshot) Show(name string) *Details {
	d := &Details{Name: name, Holders: []Lock{}}
	for _, i := range s.index().named[name] {
		d.Holders = append(d.Holders, s.Locks[i])
	}
	d.Queue, d.More = s.forest(name)
	return d
}

// forest returns the waiters for a name with the locks that they hold, the waiters for those, and
// so on. more reports that this isn't all.
func (s *Snapshot) forest(name string) (waiters []Waiter, more bool) {
	f := &forest{Snapshot: s, room: maxForest, above: map[string]bool{name: true}}
	return f.waiters(name), f.room < 0
}

// forest is a forest that is being made.
type forest struct {
	*Snapshot
	room  int             // for that many more waiters and locks
	above map[string]bool // the names on the way to the root
}

// waiters returns the waiters for a name.
func (f *forest) waiters(name string) []Waiter {
	waiters := []Waiter{}
	for _, w := range f.index().queues[name] {
		if f.room--; f.room < 0 {
			return waiters
		}
		waiters = append(waiters, Waiter{
			Kind: w.Kind, Holder: w.Holder, Note: w.Note, Since: w.Since, Priority: w.Priority,
		})
	}
	for i := range waiters { // all waiters before what each of them holds, if there is no room for both
		waiters[i].Holds = f.held(waiters[i].Holder)
	}
	return waiters
}

// held returns what a holder holds.
func (f *forest) held(holder string) (held []Held) {
	for _, i := range f.index().held[holder] {
		if f.room--; f.room < 0 {
			return held
		}
		l := f.Locks[i]
		h := Held{Name: l.Name, Kind: l.Kind, Fence: l.Fence}
		if !f.above[l.Name] {
			f.above[l.Name] = true
			h.Waiters = f.waiters(l.Name)
			delete(f.above, l.Name)
		}
		held = append(held, h)
	}
	return held
}
