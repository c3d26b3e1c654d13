package sqlserver

import (
	"context"
	"fmt"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/internal/engine"
)

var _ dialect.ClockReader = (*Dialect)(nil)

// ReadClock returns the server's SYSUTCDATETIME.
func (d *Dialect) ReadClock(ctx context.Context) (time.Time, error) {
	now, err := query(ctx, d.pool, engine.One[int64], sqlClock)
	if err == nil && len(now) != 1 {
		err = fmt.Errorf("%d rows for the clock", len(now))
	}
	if err != nil {
		return time.Time{}, fail("read the clock", err)
	}
	return time.UnixMicro(now[0]).UTC(), nil
}
