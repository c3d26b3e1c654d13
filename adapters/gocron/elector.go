package gocronlock

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/go-co-op/gocron/v2"

	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/election"
)

// ErrNotLeader is the error of [Elector.IsLeader] on all hosts but the leader.
var ErrNotLeader = errors.New("not the leader")

// Elector is a [gocron.Elector]. Of all Electors with the same name, one leads. Its methods are
// safe for concurrent use.
type Elector struct {
	name  string
	stop  context.CancelFunc
	ended chan struct{}

	mu   sync.Mutex
	term *election.Term // nil while this host doesn't lead
	err  error          // the reason why the campaign ended
}

var _ gocron.Elector = (*Elector)(nil)

// NewElector starts a campaign in the election of that name. The campaign goes on in the background
// until [Elector.Close]. NewElector does not block: call [Elector.IsLeader] to see who leads. It
// uses ctx only for its values. The options are those of the election.
//
// The caller must close the Client, and must do so after the Elector. The error is
// [sqllock.ErrInvalid] if the Client is nil, or if an election can't have the name or the options.
func NewElector(
	ctx context.Context, locks *sqllock.Client, name string, opts ...election.Option,
) (*Elector, error) {
	if locks == nil {
		return nil, fmt.Errorf("gocronlock: %w: the *sqllock.Client is nil", sqllock.ErrInvalid)
	}
	leads, err := election.New(locks, name, opts...)
	if err != nil {
		return nil, err
	}
	e := &Elector{name: name, ended: make(chan struct{})}
	ctx, e.stop = context.WithCancel(context.WithoutCancel(ctx))
	go func() {
		defer close(e.ended)
		err := leads.Run(ctx, e.lead)
		e.mu.Lock()
		defer e.mu.Unlock()
		e.err = err
	}()
	return e, nil
}

// lead runs for as long as this host leads.
func (e *Elector) lead(ctx context.Context, term *election.Term) error {
	e.set(term)
	<-ctx.Done()
	e.set(nil)
	return nil
}

func (e *Elector) set(term *election.Term) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.term = term
}

// IsLeader returns nil on the host that leads. On the others it returns [ErrNotLeader], together
// with the reason if the campaign has failed. It does not access the database. A leader that is no
// longer sure that it leads, because it can't reach the database, is not the leader.
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

// Close ends the campaign, so that another host can lead at once. It waits a few seconds at most
// for the resignation. An error means that the resignation couldn't be confirmed; another host then
// leads when the lease has expired.
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
