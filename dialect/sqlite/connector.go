package sqlite

import (
	"context"
	"database/sql/driver"
	"math/rand/v2"
	"time"
)

// connectTimeout bounds how long a connection is tried for while the file is locked.
const connectTimeout = 5 * time.Second

// connector makes connections that can wait. To make a new file a write-ahead log takes locks for which SQLite answers
// SQLITE_BUSY at once, in spite of busy_timeout, while others do the same.
type connector struct{ driver.Connector }

// Connect tries until it succeeds, fails for another reason than a locked file, or ctx ends.
func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	for {
		conn, err := c.Connector.Connect(ctx)
		if code, _ := codeOf(err); code != codeBusy {
			return conn, err
		}
		pause := time.NewTimer(time.Millisecond + rand.N(10*time.Millisecond))
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return nil, err
		}
	}
}
