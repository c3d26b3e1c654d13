package integration

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/sqllock/sqllock/integration/servers"
)

// The alert rules are valid, and fire on recorded series of a process in trouble and on no other.
func TestAlertRules(t *testing.T) {
	t.Parallel()
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		servers.Missing(t, "promtool", err)
	}
	rules := filepath.Join("..", "adapters", "prometheus")
	for _, args := range [][]string{{"check", "rules", "alerts.yml"}, {"test", "rules", "alerts_test.yml"}} {
		command := exec.CommandContext(t.Context(), promtool, args...)
		command.Dir = rules
		if out, err := command.CombinedOutput(); err != nil {
			t.Errorf("promtool %q: %v\n%s", args, err, out)
		}
	}
}
