package integration

import (
	"context"

	"github.com/sqllock/sqllock/sqllock"
)

// saw is a look at who leads.
const saw verb = "saw"

// electionState: the leader has a lock, whose fence is its term.
type electionState struct {
	leader lockState
	ghost  int64 // term of one that gave up campaigning just as it was elected, if that was seen
}

// step: who is seen to lead is who does, or a ghost, whose term is also greater than all before.
func (s electionState) step(d deed) (_ electionState, legal bool) {
	if d.verb != saw {
		s.leader, legal = s.leader.step(d)
		return electionState{leader: s.leader}, legal
	}
	switch {
	case s.leader.holder != 0:
		return s, d.fence == s.leader.last
	case d.fence > s.leader.last:
		s.leader.last, s.ghost = d.fence, d.fence
		return s, true
	case d.fence == 0:
		s.ghost = 0
		return s, true
	}
	return s, d.fence == s.ghost
}

func init() {
	chronicle(history{
		name:  "election",
		model: deeds(electionState.step),
		act:   actElection,
		must:  []verb{took, declined, gave, expired, saw},
	})
}

func actElection(a *actor) {
	if a.rand.IntN(3) == 0 {
		a.look()
		return
	}
	a.keep(deed{}, func(ctx context.Context, locks *sqllock.Client) (grip, error) {
		e, err := locks.Election(a.name)
		if err != nil {
			return grip{}, err
		}
		term, err := e.Campaign(ctx)
		if err != nil {
			return grip{}, err
		}
		return grip{ctx: term.Context(), fence: term.Number(), release: term.Resign}, nil
	})
}

// look asks who leads.
func (a *actor) look() {
	e, err := a.station.client().Election(a.name)
	if err != nil {
		a.station.t.Error(err)
		return
	}
	call := a.now()
	leader, _, err := e.Leader(a.station.t.Context())
	if err == nil { // else its station has crashed
		a.add(a.id, call, a.now(), deed{verb: saw, fence: leader.Term})
	}
}
