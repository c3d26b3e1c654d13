//go:build unix

package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/sqllock/sqllock/integration/servers"
)

// Ten replicas run a migration tool that has no lock of its own under sqllock run. One of them
// migrates, and the others find nothing to do. Without the lock most of them fail.
func TestForeignMigrator(t *testing.T) {
	t.Parallel()
	c, goose := buildSqllock(t), gooseBinary.path(t)
	url := database(t, servers.Start(t, "postgres15"))
	files := t.TempDir()
	for i := range 3 {
		text := fmt.Sprintf("-- +goose Up\nCREATE TABLE t%d (id int);\nSELECT pg_sleep(0.1);\n", i)
		if err := os.WriteFile(filepath.Join(files, fmt.Sprintf("%05d_t.sql", i+1)), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}

	var replicas sync.WaitGroup
	outputs, codes := make([]string, 10), make([]int, 10)
	for i := range outputs {
		replicas.Go(func() {
			outputs[i], codes[i] = c.run(t, url, "run migrate --", goose, "-dir", files, "postgres", url, "up")
		})
	}
	replicas.Wait()

	migrated, idle := 0, 0
	for i, output := range outputs {
		if codes[i] != 0 {
			t.Errorf("replica %d ended with %d: %s", i, codes[i], output)
		}
		if strings.Contains(output, "successfully migrated database to version: 3") {
			migrated++
		}
		if strings.Contains(output, "no migrations to run. current version: 3") {
			idle++
		}
	}
	if migrated != 1 || idle != 9 {
		t.Errorf("%d replicas have migrated, and %d had nothing to do; want 1 and 9: %q", migrated, idle, outputs)
	}
}
