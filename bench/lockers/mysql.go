package lockers

import (
	"context"
	"database/sql"
	"errors"

	"github.com/sqllock/sqllock/dialect/mysql"
)

func onMySQL(server string) []Kind {
	return []Kind{
		sqllockOn(server, "as it comes"),
		{
			Name: "by hand, a row", Server: server, Waits: polls, Open: mysqlRow.open(mysql.Open, as),
			Prepare: mysqlRow.prepare(mysql.Open), MeasureHeld: server == "mysql",
		},
		{Name: "by hand, GET_LOCK", Server: server, Waits: "in the server", Open: openGetLock, ConnEach: true},
	}
}

var mysqlRow = rowStatements{
	table: `CREATE TABLE IF NOT EXISTS bench_locks (name VARCHAR(255) NOT NULL PRIMARY KEY, holder VARCHAR(64),
		owner VARCHAR(64), fence BIGINT NOT NULL, expires_at DATETIME(6) NOT NULL)
		ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin`,
	take: `UPDATE bench_locks SET holder = ?, owner = ?, fence = LAST_INSERT_ID(fence + 1),
		expires_at = UTC_TIMESTAMP(6) + INTERVAL ? MICROSECOND
		WHERE name = ? AND (owner IS NULL OR expires_at <= UTC_TIMESTAMP(6))`,
	create: `INSERT IGNORE INTO bench_locks (name, holder, owner, fence, expires_at)
		VALUES (?, ?, ?, LAST_INSERT_ID(1), UTC_TIMESTAMP(6) + INTERVAL ? MICROSECOND)`,
	free:  `UPDATE bench_locks SET holder = NULL, owner = NULL WHERE name = ? AND owner = ?`,
	renew: `UPDATE bench_locks SET expires_at = UTC_TIMESTAMP(6) + INTERVAL ? MICROSECOND WHERE holder = ?`,
}

// getLock holds each lock on its own connection until the unlock.
type getLock struct{ db *sql.DB }

func openGetLock(ctx context.Context, c Config) (Locker, error) {
	db, err := mysql.Open(c.URL + "?interpolateParams=true") // saves the round trip of a prepared statement
	if err != nil {
		return nil, err
	}
	pool(db, c.Conns)
	return getLock{db}, db.PingContext(ctx)
}

func (l getLock) Lock(ctx context.Context, name string) (Unlock, error) {
	conn, err := l.db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	for {
		var got sql.NullInt64
		err := conn.QueryRowContext(ctx, "SELECT GET_LOCK(?, ?)", name, int(slice.Seconds())).Scan(&got)
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return nil, errors.Join(err, conn.Close())
		}
		if got.Int64 == 1 {
			return func(ctx context.Context) error {
				_, err := conn.ExecContext(ctx, "DO RELEASE_LOCK(?)", name)
				return errors.Join(err, conn.Close())
			}, nil
		}
	}
}

func (l getLock) Close() error { return l.db.Close() }
