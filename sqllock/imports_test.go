package sqllock

import (
	"os/exec"
	"strings"
	"testing"
)

// TestImportsNoDriver: whoever uses one engine must not link the others' drivers.
func TestImportsNoDriver(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", ".").CombinedOutput()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, out)
	}
	const module = "github.com/sqllock/sqllock/"
	allowed := map[string]bool{module + "sqllock": true, module + "dialect": true}
	for _, path := range strings.Fields(string(out)) {
		if !allowed[path] {
			t.Errorf("package sqllock depends on %s; it may on dialect and the standard library only", path)
		}
	}
}
