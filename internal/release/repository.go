package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	"golang.org/x/mod/zip"
)

// repository is the working tree of this repository, and the version that its modules get.
type repository struct {
	root    string
	version string
	modules []goModule
}

// goModule is a module of the workspace.
type goModule struct {
	dir  string // relative to the root
	path string
}

// open reads which modules the workspace has.
func open(root string) (*repository, error) {
	text, err := os.ReadFile(filepath.Join(root, "go.work"))
	if err != nil {
		return nil, fmt.Errorf("run it at the top of the repository: %w", err)
	}
	work, err := modfile.ParseWork("go.work", text, nil)
	if err != nil {
		return nil, err
	}
	r := &repository{root: root}
	for _, use := range work.Use {
		dir := filepath.Clean(use.Path)
		text, err := os.ReadFile(filepath.Join(root, dir, "go.mod"))
		if err != nil {
			return nil, err
		}
		r.modules = append(r.modules, goModule{dir, modfile.ModulePath(text)})
	}
	return r, nil
}

// requireVersion makes all modules in the tree at root require that version of the released ones.
// The checksums of another version, which the last release left, are removed.
func (r *repository) requireVersion(root string) error {
	names, err := r.git("ls-files", "--cached", "--others", "--exclude-standard", "go.mod", "*/go.mod")
	if err != nil {
		return err
	}
	for name := range strings.SplitSeq(names, "\n") {
		path := filepath.Join(root, name)
		if err := r.dropSums(strings.TrimSuffix(path, "mod") + "sum"); err != nil {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		file, err := modfile.Parse(path, text, nil)
		if err != nil {
			return err
		}
		for _, required := range file.Require {
			if !r.has(required.Mod.Path) {
				continue
			}
			if err := file.AddRequire(required.Mod.Path, r.version); err != nil {
				return err
			}
		}
		if err := write(path, file.Format); err != nil {
			return err
		}
	}
	path := filepath.Join(root, "go.work")
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	work, err := modfile.ParseWork(path, text, nil)
	if err != nil {
		return err
	}
	for _, replaced := range append([]*modfile.Replace(nil), work.Replace...) {
		path, old, dir := replaced.Old.Path, replaced.Old.Version, replaced.New.Path
		if err := errors.Join(work.DropReplace(path, old), work.AddReplace(path, r.version, dir, "")); err != nil {
			return err
		}
	}
	work.Cleanup()
	return write(path, func() ([]byte, error) { return modfile.Format(work.Syntax), nil })
}

// dropSums removes the checksums of the released modules from a go.sum.
func (r *repository) dropSums(path string) error {
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var kept strings.Builder
	for line := range strings.Lines(string(text)) {
		if module, _, _ := strings.Cut(line, " "); !r.has(module) {
			kept.WriteString(line)
		}
	}
	return os.WriteFile(path, []byte(kept.String()), 0o600)
}

func write(path string, text func() ([]byte, error)) error {
	b, err := text()
	if err != nil {
		return err
	}
	return os.WriteFile(path, b, 0o600)
}

func (r *repository) has(path string) bool {
	for _, m := range r.modules {
		if m.path == path {
			return true
		}
	}
	return false
}

// stage copies the files that git knows, and new ones, to dir. Like the go command it gives the
// license of the repository to a module that has none.
func (r *repository) stage(dir string) error {
	names, err := r.git("ls-files", "-z", "--cached", "--others", "--exclude-standard")
	if err != nil {
		return err
	}
	for name := range strings.SplitSeq(strings.TrimRight(names, "\x00"), "\x00") {
		err := copyFile(filepath.Join(r.root, name), filepath.Join(dir, name))
		if err != nil && !errors.Is(err, os.ErrNotExist) { // a file that is deleted and not committed
			return err
		}
	}
	for _, m := range r.modules {
		license := filepath.Join(dir, m.dir, "LICENSE")
		if _, err := os.Stat(license); err == nil {
			continue
		}
		if err := copyFile(filepath.Join(r.root, "LICENSE"), license); err != nil {
			return err
		}
	}
	return r.requireVersion(dir)
}

func copyFile(from, to string) error {
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	return os.WriteFile(to, text, 0o600)
}

// publish writes the staged modules to a module proxy of files, as described at
// https://go.dev/ref/mod#goproxy-protocol.
func (r *repository) publish(staged, proxy string) error {
	for _, m := range r.modules {
		escaped, err := module.EscapePath(m.path)
		if err != nil {
			return err
		}
		versions := filepath.Join(proxy, escaped, "@v")
		if err := os.MkdirAll(versions, 0o700); err != nil {
			return err
		}
		info, err := json.Marshal(map[string]any{"Version": r.version, "Time": time.Now().UTC()})
		if err != nil {
			return err
		}
		var archive bytes.Buffer
		version := module.Version{Path: m.path, Version: r.version}
		if err := zip.CreateFromDir(&archive, version, filepath.Join(staged, m.dir)); err != nil {
			return err
		}
		mod, err := os.ReadFile(filepath.Join(staged, m.dir, "go.mod"))
		if err != nil {
			return err
		}
		for name, text := range map[string][]byte{
			r.version + ".info": info, r.version + ".mod": mod, r.version + ".zip": archive.Bytes(),
			"list": []byte(r.version + "\n"),
		} {
			if err := os.WriteFile(filepath.Join(versions, name), text, 0o600); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *repository) git(args ...string) (string, error) {
	// It may be run by root in somebody else's clone.
	return output(r.root, nil, "git", append([]string{"-c", "safe.directory=*"}, args...)...)
}

// output runs a command in dir and returns its standard output without the last newline.
func output(dir string, env []string, name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w: %s%s", name, strings.Join(args, " "), err, out, &stderr)
	}
	return strings.TrimSuffix(string(out), "\n"), nil
}
