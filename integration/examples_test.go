package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/sqllock/sqllock/integration/servers"
)

// examples lists the examples that take a database's URL, and texts that the output of each must
// contain.
var examples = map[string][]string{
	"ledger":    {"REFUSED by Guard", "The ledger's proof"},
	"singleton": {"stops: asked to hand over", "each sent once, by 3 leaders"},
	"deploy":    {"SKIPS: a newer build", "The proof"},
	"quota":     {"KILLED", "none refused"},
	"consumer":  {"KILLED", "delivered again", "nothing done twice"},
	"transfers": {"FROZEN", "REFUSED", "each account's fences only grow"},
	"payment":   {"KILLED", "was paid before", "each once"},
}

// TestExamples runs the examples on every engine, as a user does with SQLLOCK_DATABASE_URL. Those
// of one engine run at the same time, since they spend most of theirs waiting for leases to run
// out.
func TestExamples(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for example := range examples {
		build := exec.Command("go", "build", "-o", filepath.Join(dir, example), "../examples/"+example)
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("go build: %v\n%s", err, out)
		}
	}
	for _, engine := range servers.OneOfEachKind(t, servers.Engines...) {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			s := servers.Start(t, engine)
			var running sync.WaitGroup
			defer running.Wait()
			for example, output := range examples {
				running.Go(func() { runExample(t, filepath.Join(dir, example), s, output) })
			}
		})
	}
}

// stalled is what an example says that has lost a lease since the database didn't answer for as
// long as the lease lasts. A disk may stall for that long, and then the example is run again.
const stalled = "no heartbeat has succeeded for"

func runExample(t *testing.T, program string, s *servers.Server, output []string) {
	for tries := 1; ; tries++ {
		cmd := exec.CommandContext(t.Context(), program)
		cmd.Env = append(os.Environ(), "SQLLOCK_DATABASE_URL="+s.Database(t))
		out, err := cmd.CombinedOutput()
		missing := slices.IndexFunc(output, func(part string) bool { return !strings.Contains(string(out), part) })
		switch {
		case err == nil && missing < 0:
			return
		case strings.Contains(string(out), stalled) && tries < 3:
			t.Logf("%s lost a lease, and is run again", filepath.Base(program))
		default:
			t.Errorf("%s: %v; want output that contains %q\n%s", filepath.Base(program), err, output, out)
			return
		}
	}
}
