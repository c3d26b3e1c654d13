package sqlite

import (
	"database/sql"
	"net/url"
	"os"
	"path/filepath"
	"testing"
)

// The kernel says which process has the write lock, in a write-ahead log and in a rollback journal.
func TestLockingProcess(t *testing.T) {
	for _, mode := range []string{"wal", "delete"} {
		t.Run(mode, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "test.db")
			db, err := sql.Open("sqlite",
				"file:"+url.PathEscape(file)+"?_pragma=journal_mode("+mode+")&_txlock=immediate")
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			if _, err := db.ExecContext(t.Context(), "CREATE TABLE t (i)"); err != nil {
				t.Fatal(err)
			}
			if pid := lockingProcess(file); pid != 0 {
				t.Errorf("there is no writer, but process %d has the lock", pid)
			}
			tx, err := db.BeginTx(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer tx.Rollback()
			if pid := lockingProcess(file); pid != os.Getpid() {
				t.Errorf("process %d has the lock; want %d", pid, os.Getpid())
			}
			if pid := lockingProcess(file + ".other"); pid != 0 {
				t.Errorf("process %d has the lock of a file that doesn't exist", pid)
			}
		})
	}
}
