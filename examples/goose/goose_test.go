package goose_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/sqllock/sqllock/dialect/sqlite"
	example "github.com/sqllock/sqllock/examples/goose"
)

func Example() {
	folder, err := os.MkdirTemp("", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = os.RemoveAll(folder) }()
	db, err := sqlite.Open("sqlite://" + filepath.Join(folder, "app.db"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = db.Close() }()
	fmt.Println(example.Up(context.Background(), db, false))
	fmt.Println(example.Up(context.Background(), db, false))
	// Output:
	// 2 <nil>
	// 0 <nil>
}

// Ten calls at the same time, with each of goose's interfaces.
func TestUpAtOnce(t *testing.T) {
	for _, session := range []bool{false, true} {
		url := "sqlite://" + filepath.Join(t.TempDir(), "app.db")
		var group sync.WaitGroup
		var mu sync.Mutex
		applied := 0
		for range 10 {
			group.Go(func() {
				db, err := sqlite.Open(url)
				if err != nil {
					t.Error(err)
					return
				}
				defer func() { _ = db.Close() }()
				n, err := example.Up(t.Context(), db, session)
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				applied += n
			})
		}
		group.Wait()
		if applied != 2 {
			t.Errorf("session locker %v: %d migrations were applied, want 2", session, applied)
		}
	}
}
