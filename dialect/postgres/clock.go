package postgres

import (
	"context"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/internal/engine"
)

var (
	_ dialect.ClockReader  = (*Dialect)(nil)
	_ dialect.MemberLister = (*Dialect)(nil)
)

// ReadClock returns the server's clock_timestamp.
func (d *Dialect) ReadClock(ctx context.Context) (time.Time, error) {
	now, err := query(ctx, d.pool, engine.One[int64], sqlClock)
	if err != nil {
		return time.Time{}, fail("read the clock", err)
	}
	return time.UnixMicro(now[0]).UTC(), nil
}

// Members returns the addresses of the streaming standbys, without their ports. An account needs
// pg_monitor to see them. A server that only speaks PostgreSQL's protocol has none.
func (d *Dialect) Members(ctx context.Context) ([]string, error) {
	members, err := query(ctx, d.pool, engine.One[string], sqlMembers)
	if err != nil && d.Classify(err) == dialect.ClassNoSchema {
		err = nil
	}
	return members, fail("list the members", err)
}
