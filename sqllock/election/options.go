package election

import (
	"github.com/sqllock/sqllock/sqllock/internal/request"
)

// Option is an option of [New]. Those of package sqllock that return an Option here are
// [sqllock.WithTTL], [sqllock.WithNote] and [sqllock.LockDelay].
type Option interface{ request.Election }

// MaxPriority is the greatest [Priority]; the least is -MaxPriority.
const MaxPriority = request.MaxPriority

// Priority sets the priority of a candidate in an election, from -[MaxPriority] to MaxPriority; the
// default is 0. It can be the number of a release, or a greater number in the database's own zone.
// While a candidate of a higher priority waits to lead, candidates of a lower one yield to it, and
// a leader of a lower one is asked to hand over as by [Election.HandOver]. Candidates of equal
// priority are served in the order of [sqllock.Client.Acquire] and do not disturb a leader.
//
// Each candidate yields to a waiting candidate once, for five seconds at most, so that a candidate
// that hangs keeps nobody from leading for longer. A candidate that took the lead, failed soon and
// campaigns again is yielded to again.
func Priority(n int) Option { return request.Option(func(req *request.Request) { req.Priority = n }) }

// OnQueued calls f each time [Election.Campaign] or [Election.Run] has registered in the election's
// queue in the database, where others find the candidate ([Election.HandOverTo]).
//
// The campaign goes on after f has returned, so f must not wait for this candidate to lead; let it
// close a channel. A campaign that wins at once does not register and does not call f, so a caller
// that waits for f must also wait for the lead. If several goroutines of one process campaign, only
// the first of them registers.
func OnQueued(f func()) Option {
	return request.Option(func(req *request.Request) { req.OnQueued = f })
}
