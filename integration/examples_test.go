package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/sqllock/sqllock/integration/servers"
)

// examples are those that take a database's URL, with what each must say.
var examples = map[string][]string{
	"ledger":    {"REFUSED by Guard", "The ledger's proof"},
	"singleton": {"stops: asked to hand over", "each sent once, by 3 leaders"},
	"deploy":    {"SKIPS: a newer build", "The proof"},
	"quota":     {"KILLED", "none refused"},
	"consumer":  {"KILLED", "delivered again", "nothing done twice"},
	"transfers": {"FROZEN", "REFUSED", "each account's fences only grow"},
	"payment":   {"KILLED", "was paid before", "each once"},
}

// TestExamples runs the examples on every engine, as a user does with SQLLOCK_DATABASE_URL. Those of one engine play at the same
// time, since they wait for leases to run out most of theirs.
func TestExamples(t *testing.T) {
	dir := t.TempDir()
	for example := range examples {
		build := exec.Command("go", "build", "-o", filepath.Join(dir, example), "../examples/"+example)
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("go build: %v\n%s", err, out)
		}
	}
	for _, engine := range servers.Engines {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			var playing sync.WaitGroup
			defer playing.Wait()
			for example, says := range examples {
				url := servers.Start(t, engine).Database(t)
				playing.Go(func() { play(t, filepath.Join(dir, example), url, says) })
			}
		})
	}
}

func play(t *testing.T, program, url string, says []string) {
	cmd := exec.CommandContext(t.Context(), program)
	cmd.Env = append(os.Environ(), "SQLLOCK_DATABASE_URL="+url)
	out, err := cmd.CombinedOutput()
	for _, part := range says {
		if err != nil || !strings.Contains(string(out), part) {
			t.Errorf("%s: %v; want it to say %q\n%s", filepath.Base(program), err, part, out)
			return
		}
	}
}
