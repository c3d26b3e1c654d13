package lockers

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

func onPostgres(server string) []Kind {
	return []Kind{
		sqllockOn(server, "as it comes"),
		{
			Name: "by hand, a row", Server: server, Waits: polls, Open: openPgRow, Prepare: preparePgRow,
			MeasureHeld: true,
		},
		{Name: "by hand, advisory lock", Server: server, Waits: "in the server", Open: openPgAdvisory, ConnEach: true},
		{Name: "go-pglock", Server: server, Waits: "in the server", Open: openGoPglock, ConnEach: true},
		{
			Name: "cirello.io/pglock", Server: server, Waits: "tries once a TTL", Open: openCirello,
			Prepare: prepareCirello, MeasureHeld: true, BeatsEach: true,
			NoLocalWait: sleepsATTL, NoHandOver: sleepsATTL,
		},
	}
}

const sleepsATTL = "a waiter that finds the lock held tries again only after a whole TTL"

// pgRow is the best known implementation by hand: single statements through pgx's own pool, which
// prepares them once per connection, on a table like sqllock's, with the database's clock and a
// fence.
type pgRow struct {
	*pgxpool.Pool
	holder string
	ttl    time.Duration
	stop   func()
}

const pgRowTable = `CREATE TABLE IF NOT EXISTS bench_locks (
    name text COLLATE "C" PRIMARY KEY, holder text, owner text, fence bigint NOT NULL, expires_at timestamptz NOT NULL
) WITH (fillfactor = 70)`

const pgRowTake = `UPDATE bench_locks SET holder = $2, owner = $3, fence = fence + 1,
    expires_at = clock_timestamp() + $4::interval
WHERE name = $1 AND (owner IS NULL OR expires_at <= clock_timestamp()) RETURNING fence`

const pgRowMake = `INSERT INTO bench_locks (name, holder, owner, fence, expires_at)
VALUES ($1, $2, $3, 1, clock_timestamp() + $4::interval) ON CONFLICT DO NOTHING RETURNING fence`

const pgRowRelease = `UPDATE bench_locks SET holder = NULL, owner = NULL WHERE name = $1 AND owner = $2`

const pgRowKeep = `UPDATE bench_locks SET expires_at = clock_timestamp() + $2::interval WHERE holder = $1`

func pgPool(ctx context.Context, c Config) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(c.URL)
	if err != nil {
		return nil, err
	}
	config.MaxConns = int32(c.Conns) //nolint:gosec // at most dozens
	return pgxpool.NewWithConfig(ctx, config)
}

func preparePgRow(ctx context.Context, url string) error {
	pool, err := pgPool(ctx, Config{URL: url, Conns: 1})
	if err != nil {
		return err
	}
	defer pool.Close()
	_, err = pool.Exec(ctx, pgRowTable)
	return err
}

func openPgRow(ctx context.Context, c Config) (Locker, error) {
	pool, err := pgPool(ctx, c)
	if err != nil {
		return nil, err
	}
	l := &pgRow{Pool: pool, holder: rand.Text(), ttl: c.TTL, stop: func() {}}
	if c.Keep {
		l.stop = every(c.TTL, func(ctx context.Context) { _, _ = pool.Exec(ctx, pgRowKeep, l.holder, l.ttl) })
	}
	return l, pool.Ping(ctx)
}

func (l *pgRow) Lock(ctx context.Context, name string) (Unlock, error) {
	owner, first := rand.Text(), true
	err := poll(ctx, func() (bool, error) {
		ok, err := l.one(ctx, pgRowTake, name, owner)
		if err == nil && !ok && first { // the row is created at most once per call
			first = false
			ok, err = l.one(ctx, pgRowMake, name, owner)
		}
		return ok, err
	})
	return func(ctx context.Context) error {
		_, err := l.Exec(ctx, pgRowRelease, name, owner)
		return err
	}, err
}

func (l *pgRow) one(ctx context.Context, statement, name, owner string) (bool, error) {
	var fence int64
	err := l.QueryRow(ctx, statement, name, l.holder, owner, l.ttl).Scan(&fence)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

func (l *pgRow) Close() error {
	l.stop()
	l.Pool.Close()
	return nil
}

// pgAdvisory holds each lock on its own connection until the unlock.
type pgAdvisory struct{ *pgxpool.Pool }

func openPgAdvisory(ctx context.Context, c Config) (Locker, error) {
	pool, err := pgPool(ctx, c)
	if err != nil {
		return nil, err
	}
	return pgAdvisory{pool}, pool.Ping(ctx)
}

func (l pgAdvisory) Lock(ctx context.Context, name string) (Unlock, error) {
	conn, err := l.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock($1)", key(name)); err != nil {
		conn.Release()
		return nil, err
	}
	return func(ctx context.Context) error {
		defer conn.Release()
		_, err := conn.Exec(ctx, "SELECT pg_advisory_unlock($1)", key(name))
		return err
	}, nil
}

func (l pgAdvisory) Close() error {
	l.Pool.Close()
	return nil
}
