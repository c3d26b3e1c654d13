package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/spf13/pflag"

	"github.com/sqllock/sqllock/open"
	"github.com/sqllock/sqllock/sqllock"
)

// databaseWaitFlag adds the flag for commands that may start before the database does.
func (a *app) databaseWaitFlag(flags *pflag.FlagSet) {
	flags.Var(&a.databaseWait, "wait-for-database", "how long to wait for a database that can't be reached or is "+
		"read-only (default: not at all)")
}

// connection is a Client and what it stands on.
type connection struct {
	*open.Database
	locks *sqllock.Client
}

// connect makes a Client.
func (a *app) connect(ctx context.Context, opts sqllock.Options) (*connection, error) {
	return a.connectBy(ctx, open.URL, opts)
}

func (a *app) connectBy(
	ctx context.Context, opener func(url string) (*open.Database, error), opts sqllock.Options,
) (*connection, error) {
	url, err := a.database.URL()
	if err != nil {
		return nil, err
	}
	if file, err := open.Missing(url); err != nil {
		return nil, err
	} else if file != "" {
		return nil, &missingError{file}
	}
	database, err := opener(url)
	if err != nil {
		return nil, err
	}
	database.DB.SetMaxOpenConns(4)
	database.DB.SetMaxIdleConns(4)
	opts.Holder, opts.Logger, opts.ClockSkew = a.identity, a.logger(), time.Duration(a.clockSkew)
	if a.databaseWait > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(a.databaseWait))
		defer cancel()
		opts.WaitForDatabase = true
	} else if opts.Unprobed || opts.WithoutTables { // New sends nothing then, or waits, and later calls wait too
		if err := reach(ctx, database.DB); err != nil {
			return nil, errors.Join(err, database.DB.Close())
		}
	}
	locks, err := sqllock.New(ctx, database.Dialect, &opts)
	if err != nil {
		return nil, errors.Join(err, database.DB.Close())
	}
	return &connection{database, locks}, nil
}

// reachTimeout is how long the database may take to accept a connection.
const reachTimeout = 30 * time.Second

// reach returns an error if the database can't be reached, or refuses the login.
func reach(ctx context.Context, db *sql.DB) error {
	ctx, cancel := context.WithTimeout(ctx, reachTimeout)
	defer cancel()
	if err := db.PingContext(ctx); err != nil {
		return fmt.Errorf("the database can't be reached: %w", err)
	}
	return nil
}

// reading makes a Client for a command that only reads. It doesn't try out whether locks work, so
// the right to SELECT is enough.
func (a *app) reading(ctx context.Context) (*connection, error) {
	return a.connectBy(ctx, open.Reading, sqllock.Options{Unprobed: true, ReapEvery: -1, PollOnly: true})
}

// whileReading calls f with such a Client. A signal ends f's ctx, and is the error then.
func (a *app) whileReading(f func(ctx context.Context, db *connection) error) error {
	ctx, stop := a.untilSignal()
	defer stop()
	db, err := a.reading(ctx)
	if err != nil {
		return signalOr(ctx, err)
	}
	defer func() { _ = db.close(context.WithoutCancel(ctx)) }()
	return signalOr(ctx, f(ctx, db))
}

// close releases everything and closes the pool.
func (c *connection) close(ctx context.Context) error {
	err := c.locks.Close(ctx)
	if closer, ok := c.Dialect.(io.Closer); ok {
		err = errors.Join(err, closer.Close())
	}
	return errors.Join(err, c.DB.Close())
}

// logger returns the logger of the Client: for warnings, such as an outage of the database, and
// with --verbose for more.
func (a *app) logger() *slog.Logger {
	level := slog.LevelWarn
	switch {
	case a.verbose:
		level = slog.LevelInfo
	case a.quiet:
		level = slog.LevelError
	}
	return slog.New(&logHandler{report: a.reporter(), level: level})
}
