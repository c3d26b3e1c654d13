package sqllock

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"
	"sync"
)

// Set is several locks that were acquired together. Its methods are safe for concurrent use.
type Set struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	asked  []*Lock
	sorted []*Lock // by their names
}

// newSet makes a set of the locks, which are sorted by their names.
func newSet(caller context.Context, names []string, locks []*Lock) *Set {
	s := &Set{sorted: locks}
	for _, name := range names {
		s.asked = append(s.asked, s.Lock(name))
	}
	s.ctx, s.cancel = context.WithCancelCause(&holding{context.WithoutCancel(caller), append(heldIn(caller), locks...)})
	for _, l := range locks {
		context.AfterFunc(l.ctx, func() { s.cancel(context.Cause(l.ctx)) })
	}
	return s
}

// Locks are all locks of the set, in the order in which their names were asked for.
func (s *Set) Locks() []*Lock { return slices.Clone(s.asked) }

// Lock is the lock of that name; nil: it isn't in the set.
func (s *Set) Lock(name string) *Lock {
	i, found := slices.BinarySearchFunc(s.sorted, name, func(l *Lock, name string) int { return strings.Compare(l.Name(), name) })
	if !found {
		return nil
	}
	return s.sorted[i]
}

// Context ends when one of the locks can't be trusted any longer, or is released, with the cause with which that lock's own
// context ends. It has the values of the ctx that the locks were acquired with, not its end.
func (s *Set) Context() context.Context { return s.ctx }

// Guard is Lock.Guard of all locks, in the order of their names: a statement each. The error is that of the first which can't be
// guarded: roll back.
func (s *Set) Guard(ctx context.Context, tx *sql.Tx) error {
	for _, l := range s.sorted {
		if err := l.Guard(ctx, tx); err != nil {
			return err
		}
	}
	return nil
}

// Release frees all locks, each as Lock.Release does, mostly in two statements for all of them. The errors are joined: those of locks that
// were lost, or released before.
func (s *Set) Release(ctx context.Context) error { return releaseAll(ctx, s.sorted) }

// releaseAll frees locks at the same time, so that group commit takes them together.
func releaseAll(ctx context.Context, locks []*Lock) error {
	errs := make([]error, len(locks))
	var group sync.WaitGroup
	for i, l := range locks {
		group.Go(func() { errs[i] = l.Release(ctx) })
	}
	group.Wait()
	return errors.Join(errs...)
}
