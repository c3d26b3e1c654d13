package election

import (
	"github.com/sqllock/sqllock/sqllock/internal/request"
)

// Option is an option of [New]. The options of package sqllock that are also an Option here are
// [sqllock.WithTTL], [sqllock.WithNote] and [sqllock.LockDelay].
type Option interface{ request.Election }

// MaxPriority is the greatest [Priority]; the least is -MaxPriority.
const MaxPriority = request.MaxPriority

// Priority sets the priority of a candidate in an election, from -[MaxPriority] to MaxPriority; the
// default is 0. For instance, n is the number of a release, or is greater in the database's own
// zone. While a candidate of a higher priority waits to lead, candidates of a lower one yield to
// it, and a leader of a lower one is asked to hand over ([Term.HandOverAsked]). Candidates of equal
// priority are served in the order of [sqllock.Client.Acquire] and do not disturb a leader.
//
// Each candidate yields to a waiting candidate once, for five seconds at most, so that a candidate
// that hangs keeps nobody from leading for longer. If a candidate took the lead, failed soon and
// campaigns again, the others yield to it again.
func Priority(n int) Option { return request.Option(func(req *request.Request) { req.Priority = n }) }

// OnQueued calls f each time [Election.Campaign] or [Election.Run] has registered in the election's
// queue in the database, where others find the candidate ([Election.HandOverTo]).
//
// The campaign goes on after f has returned, so f must not wait for this candidate to lead. For
// instance, let f close a channel. A campaign that wins at once does not register and does not call
// f, so a caller that waits for f must also wait for the lead. If several goroutines of one process
// campaign, only the first of them registers.
func OnQueued(f func()) Option {
	return request.Option(func(req *request.Request) { req.OnQueued = f })
}
