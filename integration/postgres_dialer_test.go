package integration

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/postgres"
)

// wrapped hides pgx, as tracing drivers do. Some of those give access to the connection that they
// wrap, see transparent.
type wrapped struct{ driver.Connector }

func (w wrapped) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := w.Connector.Connect(ctx)
	return opaque{conn}, err
}

func (w wrapped) Driver() driver.Driver { return nil }

type opaque struct{ driver.Conn }

type transparent struct{ wrapped }

func (w transparent) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := w.Connector.Connect(ctx)
	return handsOut{conn}, err
}

type handsOut struct{ driver.Conn }

func (h handsOut) Raw() driver.Conn { return h.Conn }

// TestPostgresSessionConnector checks that session locks connect like the pool if its connector is
// visible, and otherwise with the connector that they were given.
func TestPostgresSessionConnector(t *testing.T) {
	eachPostgres(t, func(t *testing.T, pg *pgBench) {
		config, err := pgx.ParseConfig(pg.url)
		pg.must(err)
		connector := stdlib.GetConnector(*config)
		hidden, shown := sql.OpenDB(wrapped{connector}), sql.OpenDB(transparent{wrapped{connector}})
		defer hidden.Close()
		defer shown.Close()

		d := postgres.New(hidden)
		if _, err := d.OpenSession(t.Context(), dialect.SessionOptions{}); !errors.Is(err, dialect.ErrUnsupported) ||
			!strings.Contains(err.Error(), "WithConnector") || d.Classify(err) != dialect.ClassPermanent {
			t.Errorf("a driver that isn't pgx: %v (class %s)", err, d.Classify(err))
		}
		lock := sessionLocks("lock/", 1)
		for _, d := range []*postgres.Dialect{
			postgres.New(shown),
			postgres.New(hidden, postgres.WithConnector(connector)),
			postgres.New(hidden, postgres.WithConnector(wrapped{connector})),
			postgres.New(nil, postgres.WithConnector(connector)),
		} {
			s := openPG(t, d, dialect.SessionOptions{Holder: "a"})
			if !tryPG(t, s, lock)[0] {
				t.Error("a free lock was refused")
			}
			pg.must(s.Ping(t.Context()))
			_, err := s.Unlock(t.Context(), lock)
			pg.must(err)
			pg.must(s.Close())
		}
	})
}

// TestPostgresSessionBesideABusyPool lets the application's transactions use every connection of
// the pool. A session can still be opened if Probe has seen how the pool connects. Otherwise
// OpenSession waits no longer than its ctx lasts.
func TestPostgresSessionBesideABusyPool(t *testing.T) {
	eachPostgres(t, func(t *testing.T, pg *pgBench) {
		db := pg.open("")
		db.SetMaxOpenConns(2)
		d := postgres.New(db)
		_, err := d.Probe(t.Context())
		pg.must(err)
		for range 2 {
			tx, err := db.BeginTx(t.Context(), nil)
			pg.must(err)
			t.Cleanup(func() { tx.Rollback() })
		}
		openPG(t, d, dialect.SessionOptions{})

		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		_, err = postgres.New(db).OpenSession(ctx, dialect.SessionOptions{})
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "waiting for a connection") {
			t.Errorf("without a probe: %v", err)
		}
	})
}
