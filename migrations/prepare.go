package migrations

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"time"
)

// prepareTimeout is how long processes that create sqllock's tables at the same time may fail
// because of each other.
const prepareTimeout = 5 * time.Second

// prepare creates sqllock's own tables, which a lease needs, if they are missing or old. If they
// are newer, it leaves the decision to the client that takes the lease.
//
// Processes that migrate through different nodes of a Galera cluster don't exclude each other,
// because GET_LOCK is local to a node. Therefore what they do twice must do no harm, and a process
// that fails must read the version again.
func prepare(db *sql.DB, engine *Engine, options Options, begun time.Time) func(context.Context) error {
	return func(ctx context.Context) error {
		harmless := *engine
		if !engine.Transactional {
			harmless.Files = ifNotExists{engine.Files}
		}
		for failing, tries := time.Now(), 1; ; tries++ {
			at, dirty, err := Version(ctx, db, engine)
			if err == nil && !dirty && at >= engine.Latest() {
				return nil
			}
			if err == nil {
				err = migrateOwn(ctx, db, &harmless, max(options.LockTimeout-time.Since(begun), 1))
			}
			if err == nil {
				continue // read the version again
			}
			// Where a run is one transaction, only a concurrent drop can make it fail.
			if engine.Transactional && tries > 10 || ctx.Err() != nil || time.Since(failing) > prepareTimeout {
				return fmt.Errorf("creating sqllock's tables, which a lease needs: %w", err)
			}
			wait(ctx)
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

// ifNotExists is a file system of migrations that create tables only if they are missing.
type ifNotExists struct{ fs.FS }

// ReadFile replaces CREATE TABLE by CREATE TABLE IF NOT EXISTS.
func (f ifNotExists) ReadFile(name string) ([]byte, error) {
	text, err := fs.ReadFile(f.FS, name)
	return bytes.ReplaceAll(text, []byte("CREATE TABLE sqllock_"), []byte("CREATE TABLE IF NOT EXISTS sqllock_")), err
}

// ReadDir lists the migrations.
func (f ifNotExists) ReadDir(name string) ([]fs.DirEntry, error) { return fs.ReadDir(f.FS, name) }
