package gocronlock

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/go-co-op/gocron/v2"
	"github.com/sqllock/sqllock/sqllock"
)

// ErrNotLeader is what Elector.IsLeader answers on all hosts but one.
var ErrNotLeader = errors.New("not the leader")

// Elector is a gocron.Elector: of all that are made with one name, one leads. Its methods are safe for concurrent use.
type Elector struct {
	name  string
	stop  context.CancelFunc
	ended chan struct{}

	mu   sync.Mutex
	term *sqllock.Term // nil: another leads, or nobody
	err  error         // why the campaign has ended
}

var _ gocron.Elector = (*Elector)(nil)

// NewElector takes part in the sqllock.Election of that name, in the background, until Close. It doesn't wait: ask IsLeader. ctx
// is for its values alone. The options are the election's. The Client stays the caller's to close, after the Elector. A nil Client,
// or a name or options that an election can't have, are an ErrInvalid.
func NewElector(ctx context.Context, locks *sqllock.Client, name string, opts ...sqllock.Option) (*Elector, error) {
	if locks == nil {
		return nil, fmt.Errorf("gocronlock: %w: the *sqllock.Client is nil", sqllock.ErrInvalid)
	}
	election, err := locks.Election(name, opts...)
	if err != nil {
		return nil, err
	}
	e := &Elector{name: name, ended: make(chan struct{})}
	ctx, e.stop = context.WithCancel(context.WithoutCancel(ctx))
	go func() {
		defer close(e.ended)
		err := election.Run(ctx, e.lead)
		e.mu.Lock()
		defer e.mu.Unlock()
		e.err = err
	}()
	return e, nil
}

// lead is for as long as this host leads.
func (e *Elector) lead(ctx context.Context, term *sqllock.Term) error {
	e.set(term)
	<-ctx.Done()
	e.set(nil)
	return nil
}

func (e *Elector) set(term *sqllock.Term) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.term = term
}

// IsLeader answers nil on the host that leads, and else ErrNotLeader, with the reason if the campaign has failed. It asks the database
// nothing. A leader that can't be sure any more, since the database can't be reached, is none.
func (e *Elector) IsLeader(context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.term != nil && e.term.Context().Err() == nil:
		return nil
	case e.err != nil:
		return fmt.Errorf("gocronlock: %w of %q: %w", ErrNotLeader, e.name, e.err)
	}
	return fmt.Errorf("gocronlock: %w of %q", ErrNotLeader, e.name)
}

// Close ends the campaign, and lets another lead at once. It waits for the resignation, for a few seconds at most; its error says
// that this couldn't be confirmed, and then another leads when the lease has run out.
func (e *Elector) Close(context.Context) error {
	e.stop()
	<-e.ended
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, expected := range []error{context.Canceled, sqllock.ErrLost, sqllock.ErrClosed} {
		if errors.Is(e.err, expected) {
			return nil
		}
	}
	return e.err
}
