//go:build unix

package integration

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/sqllock/sqllock/integration/servers"
)

const deployFolder = "../deploy"

// The units of systemd are accepted by systemd without a warning.
func TestUnits(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		servers.Missing(t, "systemd", err)
	}
	units := readFiles(t, "systemd/*.*")
	if warnings := verifyUnits(t, units); warnings != "" {
		t.Errorf("systemd-analyze verify: %s", warnings)
	}
	wrong := map[string]string{"wrong.service": strings.Replace(units["report.service"], "KillMode", "KilMode", 1)}
	if warnings := verifyUnits(t, wrong); !strings.Contains(warnings, "KilMode") {
		t.Errorf("systemd-analyze verify doesn't find a misspelled key; it says %q", warnings)
	}
}

// verifyUnits returns what systemd says about units, with the built command in the place of the
// installed one.
func verifyUnits(t *testing.T, units map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	args := []string{"verify", "--man=no"}
	for name, text := range units {
		path := filepath.Join(dir, name)
		text = strings.ReplaceAll(text, "/usr/local/bin/sqllock", buildSqllock(t).path)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, path)
	}
	out, err := exec.CommandContext(t.Context(), "systemd-analyze", args...).CombinedOutput()
	if err != nil && len(out) == 0 {
		return err.Error()
	}
	return string(out)
}

// The commands understand every command line that the units, the manifests and the pages in deploy
// show.
func TestDeployedCommandLines(t *testing.T) {
	t.Parallel()
	lines := slices.Concat(unitCommands(t), manifestCommands(t), pageCommands(t))
	if len(lines) < 12 {
		t.Errorf("found %d command lines; there are more, so the search is broken: %q", len(lines), lines)
	}
	sqllock, migrate := buildSqllock(t).path, migrateBinary.path(t)
	for _, line := range append(lines, []string{"sqllock", "run", "report", "--misspelled", "--", "true"}) {
		path := sqllock
		if line[0] == "sqllock-migrate" {
			path = migrate
		}
		cmd := exec.CommandContext(t.Context(), path, line[1:]...)
		cmd.Dir = t.TempDir()
		// No such file: the command ends after it has read its arguments.
		cmd.Env = append(os.Environ(), "SQLLOCK_DATABASE_URL=sqlite://"+filepath.Join(cmd.Dir, "no", "such.db"))
		out, err := cmd.CombinedOutput()
		const usage = 64
		if refused := exitCode(t, err) == usage; refused != slices.Contains(line, "--misspelled") {
			t.Errorf("%q: exit code %d: %s", line, exitCode(t, err), out)
		}
	}
}

func exitCode(t *testing.T, err error) int {
	t.Helper()
	if ended := new(exec.ExitError); errors.As(err, &ended) {
		return ended.ExitCode()
	}
	if err != nil {
		t.Fatal(err)
	}
	return 0
}

// readFiles returns the files of deploy that match a pattern, by their name.
func readFiles(t *testing.T, pattern string) map[string]string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(deployFolder, pattern))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no files are %s: %v", pattern, err)
	}
	files := make(map[string]string)
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		files[filepath.Base(path)] = string(text)
	}
	return files
}

func unitCommands(t *testing.T) (lines [][]string) {
	t.Helper()
	start := regexp.MustCompile(`(?m)^ExecStart=/usr/local/bin/(.+)$`)
	for _, text := range readFiles(t, "systemd/*.service") {
		for _, found := range start.FindAllStringSubmatch(text, -1) {
			lines = append(lines, strings.Fields(found[1]))
		}
	}
	return lines
}

// manifestCommands returns the command lines of containers and of their probes.
func manifestCommands(t *testing.T) (lines [][]string) {
	t.Helper()
	for name, text := range readFiles(t, "kubernetes/*.yaml") {
		for d := yaml.NewDecoder(bytes.NewReader([]byte(text))); ; {
			var document any
			err := d.Decode(&document)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			lines = append(lines, commandsIn(document)...)
		}
	}
	return lines
}

func commandsIn(node any) (lines [][]string) {
	switch node := node.(type) {
	case []any:
		for _, child := range node {
			lines = append(lines, commandsIn(child)...)
		}
	case map[string]any:
		command, args := texts(node["command"]), texts(node["args"])
		if image, _ := node["image"].(string); command == nil && strings.HasPrefix(image, "ghcr.io/sqllock/sqllock:") {
			command = []string{"sqllock"} // the image's entry point
		}
		if line := slices.Concat(command, args); len(line) > 0 && strings.HasPrefix(line[0], "sqllock") {
			lines = append(lines, line)
		}
		for _, child := range node {
			lines = append(lines, commandsIn(child)...)
		}
	}
	return lines
}

func texts(node any) (all []string) {
	list, _ := node.([]any)
	for _, item := range list {
		if text, ok := item.(string); ok {
			all = append(all, text)
		}
	}
	return all
}

// pageCommands returns the command lines in the code blocks of the page. A line that ends with a
// backslash goes on, and a comment ends a line.
func pageCommands(t *testing.T) (lines [][]string) {
	t.Helper()
	page := strings.ReplaceAll(readFiles(t, "README.md")["README.md"], "\\\n", " ")
	command := regexp.MustCompile(`^sqllock(-migrate)? `)
	for i, block := range strings.Split(page, "```") {
		if i%2 == 0 {
			continue
		}
		for line := range strings.Lines(block) {
			line, _, _ = strings.Cut(line, " #")
			for part := range strings.SplitSeq(line, "&&") {
				if part = strings.TrimSpace(part); command.MatchString(part) {
					lines = append(lines, strings.Fields(part))
				}
			}
		}
	}
	return lines
}
