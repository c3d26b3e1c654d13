package migrations

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"time"
)

// settles is how long those who make sqllock's tables side by side may be in each other's way.
const settles = 5 * time.Second

// prepare makes sqllock's own tables, which a lease needs, if they are missing or old. A newer version is left to who asks
// for the lease.
//
// Those who migrate through different nodes of a Galera cluster don't exclude each other: GET_LOCK is a node's own. There it
// is enough that what they do twice does no harm, and that who fails looks again.
func prepare(db *sql.DB, engine *Engine, options Options, begun time.Time) func(context.Context) error {
	return func(ctx context.Context) error {
		harmless := *engine
		if !engine.Transactional {
			harmless.Files = ifNotExists{engine.Files}
		}
		for failing := time.Now(); ; wait(ctx) {
			at, dirty, err := Version(ctx, db, engine)
			if err == nil && !dirty && at >= engine.Latest() {
				return nil
			}
			if err == nil {
				err = migrateOwn(ctx, db, &harmless, max(options.LockTimeout-time.Since(begun), 1))
			}
			if err == nil {
				continue // and see that it stays so
			}
			if engine.Transactional || ctx.Err() != nil || time.Since(failing) > settles {
				return fmt.Errorf("making sqllock's tables, which a lease needs: %w", err)
			}
		}
	}
}

func migrateOwn(ctx context.Context, db *sql.DB, engine *Engine, timeout time.Duration) error {
	m, err := New(db, engine, &Options{LockTimeout: timeout})
	if err == nil {
		_, err = m.Up(ctx, All)
	}
	return err
}

// ifNotExists are migrations that create tables only where they are missing.
type ifNotExists struct{ fs.FS }

// ReadFile is how migrations are read.
func (f ifNotExists) ReadFile(name string) ([]byte, error) {
	text, err := fs.ReadFile(f.FS, name)
	return bytes.ReplaceAll(text, []byte("CREATE TABLE sqllock_"), []byte("CREATE TABLE IF NOT EXISTS sqllock_")), err
}

// ReadDir is how they are listed.
func (f ifNotExists) ReadDir(name string) ([]fs.DirEntry, error) { return fs.ReadDir(f.FS, name) }
