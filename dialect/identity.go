package dialect

import "context"

// Identifier is implemented by a dialect that can report what a database shares with others, so
// that databases that must not fail together can be told apart. A quorum refuses two that share
// something.
type Identifier interface {
	// Identities returns what the database shares with every other one that has the same identity:
	// its server, and the cluster or the replication that it takes part in. It leaves out what this
	// account may not see. It blocks until the server replies or ctx ends.
	Identities(ctx context.Context) ([]Identity, error)
}

// Identity names something that databases can share.
type Identity struct {
	What string // for people: "the PostgreSQL server"
	ID   string // unique among all of that kind
}
