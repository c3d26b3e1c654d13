package store

import (
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// reconnectEvery is the least time between two looks for connections to a server that takes no
// writes.
const reconnectEvery = time.Second

// Proven tells the Store that the database has carried out writes. A server that takes none is an
// error until then, and a failover under way from then on.
func (s *Store) Proven() { s.proven.Store(true) }

// Classify is the dialect's Classify, except that a server which takes no writes is
// [dialect.ClassTransient] after [Store.Proven]: a primary that was demoted, or a replica that is
// about to be promoted.
func (s *Store) Classify(err error) dialect.Class {
	class := s.Dialect.Classify(err)
	if class == dialect.ClassReadOnly && s.proven.Load() {
		return dialect.ClassTransient
	}
	return class
}

// Reconnect closes idle connections in the background if err says that the server takes no writes.
// The pool would otherwise lend out those to a demoted primary for as long as it is up, and never
// reach the new one.
func (s *Store) Reconnect(err error) {
	r, ok := s.Dialect.(dialect.Reconnecter)
	if !ok || s.Dialect.Classify(err) != dialect.ClassReadOnly || !s.reconnecting.CompareAndSwap(false, true) {
		return
	}
	started := s.Spawn(func() {
		defer s.reconnecting.Store(false)
		ctx, cancel := s.Within(OperationTimeout)
		defer cancel()
		_ = r.Reconnect(ctx) // the next failed call tries again
		Sleep(s.open, reconnectEvery)
	})
	if !started {
		s.reconnecting.Store(false)
	}
}
