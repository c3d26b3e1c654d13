package integration

import (
	"context"

	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/election"
)

// saw is a call of Leader.
const saw verb = "saw"

// electionState is the state of an election. The leader holds a lock, whose fence is its term.
type electionState struct {
	leader lockState
	ghost  int64 // the term, if Leader returned it, of a candidate that gave up just as it was elected
}

// step allows Leader to return the leader's term, or that of a ghost. A ghost's term is greater
// than all terms before it.
func (s electionState) step(d historyOp) (_ electionState, legal bool) {
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
	newHistory(history{
		name:  "election",
		model: historyOps(electionState.step),
		act:   actElection,
		must:  []verb{took, declined, gave, expired, saw},
	})
}

func actElection(a *historyClient) {
	if a.rand.IntN(3) == 0 {
		a.readLeader()
		return
	}
	a.keep(historyOp{}, func(ctx context.Context, locks *sqllock.Client) (grip, error) {
		e, err := election.New(locks, a.name)
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

// readLeader calls Leader, and records its result.
func (a *historyClient) readLeader() {
	e, err := election.New(a.clientProcess.client(), a.name)
	if err != nil {
		a.clientProcess.t.Error(err)
		return
	}
	call := a.now()
	leader, _, err := e.Leader(a.clientProcess.t.Context())
	if err == nil { // otherwise the client process has crashed
		a.add(a.id, call, a.now(), historyOp{verb: saw, fence: leader.Term})
	}
}
