package main

import (
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"strings"
)

const pkg = "sqllock" // the package that is measured

// sources parses the files of the package, without its tests.
func sources() (*token.FileSet, []*ast.File, error) {
	paths, err := filepath.Glob(filepath.Join(pkg, "*.go"))
	if err != nil {
		return nil, nil, err
	}
	set, files := token.NewFileSet(), []*ast.File(nil)
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, nil, err
		}
		files = append(files, file)
	}
	return set, files, nil
}

func filesOfPackage() (int, error) {
	_, files, err := sources()
	return len(files), err
}

// receiver returns the name of the type that a method is of, or "".
func receiver(f *ast.FuncDecl) string {
	if f.Recv == nil {
		return ""
	}
	t := f.Recv.List[0].Type
	if star, ok := t.(*ast.StarExpr); ok {
		t = star.X
	}
	if index, ok := t.(*ast.IndexExpr); ok {
		t = index.X
	}
	if name, ok := t.(*ast.Ident); ok {
		return name.Name
	}
	return ""
}

// largestType returns how many methods the type with the most of them has.
func largestType() (most int, err error) {
	_, files, err := sources()
	methods := make(map[string]int)
	for _, file := range files {
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv != nil {
				methods[receiver(f)]++
				most = max(most, methods[receiver(f)])
			}
		}
	}
	return most, err
}

// backArrows returns the percentage of arrows between files that point back. There is an arrow from
// a file to each other file whose names it uses. It points back if the reverse arrow exists, too.
func backArrows() (int, error) {
	set, files, err := sources()
	if err != nil {
		return 0, err
	}
	info := types.Info{Uses: make(map[*ast.Ident]types.Object)}
	config := types.Config{Importer: importer.ForCompiler(set, "source", nil)}
	checked, err := config.Check("github.com/sqllock/sqllock/sqllock", set, files, &info)
	if err != nil {
		return 0, err
	}
	type arrow struct{ from, to string }
	arrows := make(map[arrow]bool)
	for id, object := range info.Uses {
		if object.Pkg() != checked {
			continue
		}
		from, to := set.File(id.Pos()).Name(), set.File(object.Pos()).Name()
		if from != to {
			arrows[arrow{from, to}] = true
		}
	}
	back := 0
	for a := range arrows {
		if arrows[arrow{a.to, a.from}] && a.from < a.to {
			back++
		}
	}
	return 100 * back / max(len(arrows), 1), nil
}

// longLines counts comment lines over 100 columns and code lines over 120, in all Go files. A tab
// counts 4.
func longLines() (comments, code int, err error) {
	err = eachFile(func(path string) error {
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for line := range strings.Lines(strings.ReplaceAll(string(text), "\t", "    ")) {
			line = strings.TrimRight(line, "\n")
			n := len([]rune(line))
			switch comment := strings.HasPrefix(strings.TrimSpace(line), "//"); {
			case strings.HasPrefix(strings.TrimSpace(line), "// Output:"): // which can't be broken
			case comment && n > 100:
				comments++
			case !comment && n > 120:
				code++
			}
		}
		return nil
	})
	return comments, code, err
}
