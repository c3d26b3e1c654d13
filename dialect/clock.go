package dialect

import (
	"context"
	"time"
)

// ClockReader is implemented by a dialect whose server has a clock of its own.
type ClockReader interface {
	// ReadClock returns the server's time as of a moment between the call and its return. It works
	// on any server of a cluster, also on one that takes no writes.
	ReadClock(ctx context.Context) (time.Time, error)
}

// MemberLister is implemented by a dialect that can find out which other servers may judge the
// leases of this database, after a failover or side by side.
type MemberLister interface {
	// Members returns those that this server knows of and this account may see, each for people:
	// host:port if the port is known.
	Members(ctx context.Context) ([]string, error)
}
