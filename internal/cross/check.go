package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// mostErrors is how many errors are shown for each platform.
const mostErrors = 20

// listed is what the go command says about a package.
type listed struct {
	ImportPath string
	Dir        string
	GoFiles    []string
	ImportMap  map[string]string // what an import in the source means, if that isn't its own path
	Standard   bool
	Module     *struct{ Version string }
	Error      *struct{ Err string }
}

// ours reports whether the package is of this tree, and is checked in full.
func (p *listed) ours() bool { return !p.Standard && (p.Module == nil || p.Module.Version == "") }

// checker type-checks packages for several platforms. It parses each file once.
type checker struct {
	files *token.FileSet

	mu     sync.Mutex
	parsed map[string]func() (*ast.File, error)
}

func newChecker() *checker {
	return &checker{files: token.NewFileSet(), parsed: make(map[string]func() (*ast.File, error))}
}

// check type-checks the packages for one platform, and returns how many of them are of this tree.
func (c *checker) check(dir string, p platform, patterns []string) (n int, err error) {
	packages, err := list(dir, p, patterns)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", p, err)
	}
	var found []error
	done := map[string]*types.Package{"unsafe": types.Unsafe}
	for _, pkg := range packages { // dependencies come first
		if pkg.ImportPath == "unsafe" || strings.HasSuffix(pkg.ImportPath, ".test") { // a test's generated main
			continue
		}
		if pkg.ours() && !strings.Contains(pkg.ImportPath, " ") { // otherwise it is compiled for a test, too
			n++
		}
		checked, errs := c.checkPackage(p, pkg, done)
		for _, err := range errs {
			found = append(found, fmt.Errorf("%s: %w", p, err))
		}
		done[pkg.ImportPath] = checked
	}
	if len(found) > mostErrors {
		found = append(found[:mostErrors], fmt.Errorf("%s: and %d more", p, len(found)-mostErrors))
	}
	return n, errors.Join(found...)
}

func (c *checker) checkPackage(p platform, pkg *listed, done map[string]*types.Package) (*types.Package, []error) {
	if pkg.Error != nil {
		return types.NewPackage(pkg.ImportPath, ""), []error{errors.New(pkg.Error.Err)}
	}
	var errs []error
	var files []*ast.File
	for _, name := range pkg.GoFiles {
		file, err := c.parse(filepath.Join(pkg.Dir, name), pkg.ours())
		if err != nil {
			errs = append(errs, err)
			continue
		}
		files = append(files, file)
	}
	config := types.Config{
		IgnoreFuncBodies: !pkg.ours(),
		Sizes:            types.SizesFor("gc", p.arch),
		Error:            func(err error) { errs = append(errs, err) },
		Importer: importer(func(path string) (*types.Package, error) {
			if mapped, ok := pkg.ImportMap[path]; ok {
				path = mapped
			}
			if imported := done[path]; imported != nil {
				return imported, nil
			}
			return nil, fmt.Errorf("%s imports %s, which the go command doesn't list", pkg.ImportPath, path)
		}),
	}
	path, _, _ := strings.Cut(pkg.ImportPath, " ") // a package that is compiled for a test is "path [path.test]"
	checked, _ := config.Check(path, c.files, files, nil)
	return checked, errs
}

// importer is a [types.Importer].
type importer func(path string) (*types.Package, error)

func (f importer) Import(path string) (*types.Package, error) { return f(path) }

// parse parses a file, once. Only if full, the bodies of its functions are kept.
func (c *checker) parse(path string, full bool) (*ast.File, error) {
	c.mu.Lock()
	once, ok := c.parsed[path]
	if !ok {
		once = sync.OnceValues(func() (*ast.File, error) {
			file, err := parser.ParseFile(c.files, path, nil, parser.SkipObjectResolution)
			if err != nil {
				return nil, err
			}
			for _, d := range file.Decls {
				if f, ok := d.(*ast.FuncDecl); ok && !full && f.Body != nil {
					f.Body = &ast.BlockStmt{Lbrace: f.Body.Lbrace, Rbrace: f.Body.Rbrace}
				}
			}
			return file, nil
		})
		c.parsed[path] = once
	}
	c.mu.Unlock()
	return once()
}

// list returns the packages and all that they need, dependencies first.
func list(dir string, p platform, patterns []string) (packages []*listed, err error) {
	args := append([]string{
		"list", "-e", "-deps", "-test", "-json=ImportPath,Dir,GoFiles,ImportMap,Standard,Module,Error",
	}, patterns...)
	cmd := exec.Command("go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+p.os, "GOARCH="+p.arch)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w: %s", err, &stderr)
	}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		pkg := new(listed)
		switch err := d.Decode(pkg); {
		case errors.Is(err, io.EOF):
			return packages, nil
		case err != nil:
			return nil, err
		}
		packages = append(packages, pkg)
	}
}
