package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sqllock/sqllock/integration/servers"
)

// The alert rules are valid, and fire on recorded series of a process in trouble and on no other.
func TestAlertRules(t *testing.T) {
	t.Parallel()
	promtool(t, "check", "rules", "alerts.yml")
	promtool(t, "test", "rules", "alerts_test.yml")
}

// Prometheus understands every expression of the board.
func TestBoard(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(prometheusAdapter, "grafana.json"))
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		Panels []struct{ Targets []struct{ Expr string } }
	}
	if err := json.Unmarshal(text, &board); err != nil {
		t.Fatal(err)
	}
	var rules strings.Builder
	rules.WriteString("groups: [{name: board, rules: [\n")
	n := 0
	// As Grafana replaces them.
	variables := strings.NewReplacer("$__rate_interval", "1m", "$__range", "3h", "$job", ".+")
	for _, panel := range board.Panels {
		for _, target := range panel.Targets {
			fmt.Fprintf(&rules, "{record: board_%d, expr: %q},\n", n, variables.Replace(target.Expr))
			n++
		}
	}
	rules.WriteString("]}]\n")
	if n < 12 {
		t.Errorf("the board has %d expressions; there are more, so the search is broken", n)
	}
	file := filepath.Join(t.TempDir(), "board.yml")
	if err := os.WriteFile(file, []byte(rules.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, "check", "rules", file)
}

var prometheusAdapter = filepath.Join("..", "adapters", "prometheus")

// promtool runs Prometheus's tool in the folder of the adapter.
func promtool(t *testing.T, args ...string) {
	t.Helper()
	path, err := exec.LookPath("promtool")
	if err != nil {
		servers.Missing(t, "promtool", err)
	}
	command := exec.CommandContext(t.Context(), path, args...)
	command.Dir = prometheusAdapter
	if out, err := command.CombinedOutput(); err != nil {
		t.Errorf("promtool %q: %v\n%s", args, err, out)
	}
}
