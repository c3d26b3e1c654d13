package integration

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/sqllock/sqllock/integration/servers"
	"github.com/sqllock/sqllock/internal/documented"
)

// pages returns the pages of the repository.
func pages(t *testing.T) []documented.Page {
	t.Helper()
	pages, err := documented.Pages("..")
	if err != nil {
		t.Fatal(err)
	}
	return pages
}

// migrationsImport names the engine of a program on a page.
var migrationsImport = regexp.MustCompile(`sqllock/migrations/(postgres|mysql|sqlserver|sqlite)"`)

// serversOf are the servers on which the programs of an engine run.
var serversOf = map[string][]string{
	"postgres": {"postgres15", "postgres18"}, "mysql": {"mysql", "mariadb"},
	"sqlserver": {"sqlserver"}, "sqlite": {"sqlite"},
}

// TestDocumentedPrograms builds the whole programs of the pages, and runs two processes of each at
// the same time in an empty database of its engine.
func TestDocumentedPrograms(t *testing.T) {
	t.Parallel()
	programs := make(map[string]documented.Block)
	for _, p := range documented.Guide(pages(t)) {
		for _, b := range p.Blocks {
			if b.Lang == "go" && strings.HasPrefix(b.Text, "package main\n") {
				programs[fmt.Sprintf("page%d", len(programs))] = b
			}
		}
	}
	if len(programs) < 5 {
		t.Fatalf("found %d programs; there are more, so the search is broken", len(programs))
	}
	dir := buildPrograms(t, programs)
	for name, b := range programs {
		found := migrationsImport.FindStringSubmatch(b.Text)
		if found == nil {
			t.Errorf("%s:%d: the program doesn't create sqllock's tables", b.Page, b.Line)
			continue
		}
		t.Run(fmt.Sprintf("%s:%d", b.Page, b.Line), func(t *testing.T) {
			t.Parallel()
			engine := servers.OneOfEachKind(t, serversOf[found[1]]...)[0]
			url := servers.Start(t, engine).Database(t)
			var both sync.WaitGroup
			for range 2 {
				both.Go(func() {
					program := exec.CommandContext(t.Context(), filepath.Join(dir, name))
					program.Env = append(os.Environ(), "DATABASE_URL="+url)
					if out, err := program.CombinedOutput(); err != nil || len(out) == 0 {
						t.Errorf("%v: %s", err, out)
					}
				})
			}
			both.Wait()
		})
	}
}

// buildPrograms builds the programs as packages of this module, which are in no folder of it.
func buildPrograms(t *testing.T, programs map[string]documented.Block) (dir string) {
	t.Helper()
	sources, dir := t.TempDir(), t.TempDir()
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	overlay := make(map[string]string)
	args := []string{"build", "-ldflags=-s -w", "-o", dir, "-overlay", filepath.Join(sources, "overlay.json")}
	for name, b := range programs {
		file := filepath.Join(sources, name+".go")
		writePage(t, file, []byte(b.Text))
		overlay[filepath.Join(here, "documented", name, "main.go")] = file
		args = append(args, "./documented/"+name)
	}
	replace, err := json.Marshal(map[string]any{"Replace": overlay})
	if err != nil {
		t.Fatal(err)
	}
	writePage(t, filepath.Join(sources, "overlay.json"), replace)
	build := exec.CommandContext(t.Context(), "go", args...)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return dir
}

func writePage(t *testing.T, file string, text []byte) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, text, 0o600)); err != nil {
		t.Fatal(err)
	}
}

// typed is a command line of a page.
type typed struct {
	page string
	args []string
}

// TestDocumentedCommands runs the command lines of the pages without a database. The commands then
// fail, but not because a flag, a value or an argument is wrong.
func TestDocumentedCommands(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		command *builtCommand
		usage   int // the exit code that says that the command line is wrong
		least   int // how many lines there are at least
	}{{sqllockBinary, 64, 30}, {migrateBinary, 2, 3}} {
		lines := commandLines(t, c.command.name)
		if len(lines) < c.least {
			t.Errorf("found %d lines with %s; there are more, so the search is broken", len(lines), c.command.name)
		}
		for _, line := range lines {
			if out, code := runWithoutDatabase(t, c.command, line.args); code == c.usage {
				t.Errorf("%s: %s %s\n%s", line.page, c.command.name, strings.Join(line.args, " "), out)
			}
		}
		if out, code := runWithoutDatabase(t, c.command, []string{"--no-such-flag"}); code != c.usage {
			t.Errorf("%s with a wrong flag: exit code %d, %s", c.command.name, code, out)
		}
		mentions(t, c.command)
	}
}

// commandLines returns the lines with a command in the shell code and the manifests of the pages.
func commandLines(t *testing.T, command string) (lines []typed) {
	t.Helper()
	for _, p := range pages(t) {
		for _, b := range p.Blocks {
			commands := b.Commands(command)
			if b.Lang == "yaml" {
				commands = containerCommands(t, b, command)
			}
			for _, args := range commands {
				lines = append(lines, typed{page: fmt.Sprintf("%s:%d", b.Page, b.Line), args: args})
			}
		}
	}
	return lines
}

// containerCommands returns the commands of that name in the containers of Kubernetes manifests.
func containerCommands(t *testing.T, b documented.Block, name string) (all [][]string) {
	t.Helper()
	var visit func(n *yaml.Node)
	visit = func(n *yaml.Node) {
		for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
			var args []string
			if n.Content[i].Value == "command" && n.Content[i+1].Decode(&args) == nil && len(args) > 0 &&
				filepath.Base(args[0]) == name {
				all = append(all, args[1:])
			}
		}
		for _, below := range n.Content {
			visit(below)
		}
	}
	documents := yaml.NewDecoder(strings.NewReader(b.Text))
	for {
		var document yaml.Node
		err := documents.Decode(&document)
		if err != nil {
			if !errors.Is(err, io.EOF) {
				t.Errorf("%s:%d: %v", b.Page, b.Line, err)
			}
			return all
		}
		visit(&document)
	}
}

var databaseURL = regexp.MustCompile(`^(postgres|mysql|sqlserver|sqlite)://|^\$`)

// runWithoutDatabase runs a command in an empty folder, with the URL of a database that isn't there
// in place of every other, and of every variable. A date of the shell is a time.
func runWithoutDatabase(t *testing.T, command *builtCommand, args []string) (output string, code int) {
	t.Helper()
	dir := t.TempDir()
	for _, source := range []string{"migrations", "db/migrations"} {
		writePage(t, filepath.Join(dir, source, "1_a.up.sql"), []byte("SELECT 1;"))
	}
	nowhere := "sqlite://" + filepath.Join(dir, "missing", "a.db")
	args = slices.Clone(args)
	for i, arg := range args {
		switch {
		case strings.HasPrefix(arg, "$(date"):
			args[i] = "2026-12-01T03:00:00Z"
		case databaseURL.MatchString(arg):
			args[i] = nowhere
		}
	}
	cmd := exec.CommandContext(t.Context(), command.path(t), args...)
	cmd.Dir = dir
	cmd.Env = []string{
		"SQLLOCK_DATABASE_URL=" + nowhere, "HOME=" + dir, "PATH=" + os.Getenv("PATH"),
		"SQLLOCK_NAME=books", "SQLLOCK_OWNER=owner", "SQLLOCK_SLOT=0", // guard-sql works inside of run
	}
	out, err := cmd.CombinedOutput()
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// mentions checks the command lines in the text of the pages, which leave arguments out: there are
// such commands and flags.
func mentions(t *testing.T, command *builtCommand) {
	t.Helper()
	inline := regexp.MustCompile("`" + command.name + " ([a-z][^`]*)`")
	seen := make(map[string]bool)
	for _, p := range pages(t) {
		if p.Path == "CHANGELOG.md" { // which speaks of the past
			continue
		}
		for _, found := range inline.FindAllStringSubmatch(p.Prose(), -1) {
			text, _, _ := strings.Cut(found[1], " -- ")
			if seen[text] {
				continue
			}
			seen[text] = true
			words := strings.Fields(text)
			out, code := runWithoutDatabase(t, command, append(slices.Clone(words), "--help"))
			usage := []byte("Usage:\n  " + command.name + " " + words[0])
			if code != 0 || !bytes.Contains([]byte(out), usage) {
				t.Errorf("%s: `%s %s`: exit code %d\n%s", p.Path, command.name, found[1], code, out)
			}
		}
	}
}
