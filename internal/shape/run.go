package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// entered runs one uncontended Acquire in a program with coverage counters, and returns the
// functions of package sqllock and its internal packages that were entered.
var entered = sync.OnceValues(func() (functions map[string]string, err error) {
	dir, err := os.MkdirTemp("", "shape")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	program, counters, text := filepath.Join(dir, "acquire"), filepath.Join(dir, "counters"), filepath.Join(dir,
		"profile")
	if err := os.Mkdir(counters, 0o700); err != nil {
		return nil, err
	}
	if err := run("go", "build", "-cover", "-covermode=atomic", "-coverpkg=./sqllock/...,./internal/shape/acquire",
		"-o", program, "./internal/shape/acquire"); err != nil {
		return nil, err
	}
	if err := run(program, counters); err != nil {
		return nil, err
	}
	if err := run("go", "tool", "covdata", "textfmt", "-i", counters, "-o", text); err != nil {
		return nil, err
	}
	out, err := exec.Command("go", "tool", "cover", "-func", text).Output()
	if err != nil {
		return nil, err
	}
	functions = make(map[string]string)
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		if len(fields) != 3 || fields[2] == "0.0%" || fields[0] == "total:" ||
			strings.Contains(fields[0], "/sqllocktest/") || strings.Contains(fields[0], "/internal/shape/") {
			continue
		}
		file, _, _ := strings.Cut(fields[0], ":")
		functions[fields[0]] = file
	}
	return functions, nil
})

func enteredFunctions() (int, error) {
	functions, err := entered()
	return len(functions), err
}

func enteredFiles() (int, error) {
	functions, err := entered()
	files := make(map[string]bool)
	for _, file := range functions {
		files[file] = true
	}
	return len(files), err
}

// buildList counts the modules of a program that imports sqllock and dialect/postgres.
func buildList() (int, error) {
	here, err := os.Getwd()
	if err != nil {
		return 0, err
	}
	dir, err := os.MkdirTemp("", "shape")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	const source = `package main

import (
	_ "github.com/sqllock/sqllock/dialect/postgres"
	_ "github.com/sqllock/sqllock/sqllock"
)

func main() {}
`
	var module strings.Builder
	module.WriteString("module user\n\ngo 1.26.0\n")
	for _, part := range []string{"sqllock", "dialect", "dialect/postgres"} {
		fmt.Fprintf(&module, "\nreplace github.com/sqllock/sqllock/%s => %s\n", part, filepath.Join(here, part))
	}
	for name, text := range map[string]string{"main.go": source, "go.mod": module.String()} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return 0, err
		}
	}
	for _, args := range [][]string{{"mod", "tidy"}, {"list", "-m", "all"}} {
		command := exec.Command("go", args...)
		command.Dir, command.Env = dir, append(os.Environ(), "GOWORK=off")
		var stderr bytes.Buffer
		command.Stderr = &stderr
		out, err := command.Output()
		if err != nil {
			return 0, fmt.Errorf("go %s: %w: %s", strings.Join(args, " "), err, stderr.String())
		}
		if args[0] == "list" {
			return strings.Count(string(out), "\n") - 1, nil
		}
	}
	return 0, nil
}

func run(name string, args ...string) error {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, out)
	}
	return nil
}
