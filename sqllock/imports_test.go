package sqllock

import (
	"os/exec"
	"strings"
	"testing"
)

// TestImportsNoDriver: a program that uses one engine must not link the drivers of others.
func TestImportsNoDriver(t *testing.T) {
	const format = "{{if not .Standard}}{{.ImportPath}}{{end}}"
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", format, ".").CombinedOutput()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, out)
	}
	const module = "github.com/sqllock/sqllock/"
	allowed := map[string]bool{module + "sqllock": true, module + "dialect": true}
	for path := range strings.FieldsSeq(string(out)) {
		if !allowed[path] && !strings.HasPrefix(path, module+"sqllock/internal/") {
			t.Errorf("package sqllock depends on %s; it may on dialect and the standard library only", path)
		}
	}
}
