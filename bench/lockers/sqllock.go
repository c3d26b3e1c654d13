package lockers

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"

	"github.com/sqllock/sqllock/migrations"
	"github.com/sqllock/sqllock/open"
	"github.com/sqllock/sqllock/sqllock"
)

// ours is sqllock's lease lock, used as an application uses it.
type ours struct {
	db     *sql.DB
	client *sqllock.Client
}

func sqllockOn(server, waits string) Kind {
	return Kind{
		Name: sqllockName, Server: server, Waits: waits, Open: openOurs, Prepare: migrate,
		MeasureHeld: server == "postgres15" || server == "mysql",
	}
}

func migrate(ctx context.Context, url string) error {
	target, err := open.URL(url)
	if err != nil {
		return err
	}
	defer target.DB.Close() //nolint:errcheck // the migration's own error counts
	return migrations.Up(ctx, target.DB, target.Migrations)
}

func openOurs(ctx context.Context, c Config) (Locker, error) {
	target, err := open.URL(c.URL)
	if err != nil {
		return nil, err
	}
	pool(target.DB, max(c.Conns, 2))
	client, err := sqllock.New(ctx, target.Dialect, &sqllock.Options{TTL: c.TTL, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, errors.Join(err, target.DB.Close())
	}
	return ours{target.DB, client}, nil
}

func (o ours) Lock(ctx context.Context, name string) (Unlock, error) {
	lock, err := o.client.Acquire(ctx, name)
	if err != nil {
		return nil, err
	}
	return lock.Release, nil
}

func (o ours) Close() error {
	return errors.Join(o.client.Close(context.Background()), o.db.Close())
}

// pool sets the pool's size. It keeps idle connections open, so that opening and closing them isn't
// measured.
func pool(db *sql.DB, conns int) {
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
}
