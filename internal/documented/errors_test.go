package documented

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

const troubleshooting = "docs/troubleshooting.md"

// packages are those whose errors users see by name.
var packages = []string{"sqllock", "sqllock/election", "sqllock/once", "sqllock/quorum"}

// TestErrorsHaveASection checks that each exported error has a section in the page about errors,
// with its name as the heading. If it is a variable, the section has its text.
func TestErrorsHaveASection(t *testing.T) {
	sections := sections(t, troubleshooting)
	n := 0
	for _, folder := range packages {
		for name, text := range errorsOf(t, folder) {
			n++
			if section, found := sections[name]; !found || !strings.Contains(section, text) {
				t.Errorf("%s has no section %s (%s) with the text %q", troubleshooting, name, folder, text)
			}
		}
	}
	if n < 15 {
		t.Errorf("found %d errors; there are more, so the search is broken", n)
	}
}

// errorsOf returns the exported errors of a package: variables with their texts, and types.
func errorsOf(t *testing.T, folder string) map[string]string {
	t.Helper()
	found := make(map[string]string)
	each(t, folder, func(file *ast.File) {
		for _, decl := range file.Decls {
			general, ok := decl.(*ast.GenDecl)
			if !ok {
				continue
			}
			for _, spec := range general.Specs {
				switch s := spec.(type) {
				case *ast.TypeSpec:
					if ast.IsExported(s.Name.Name) && strings.HasSuffix(s.Name.Name, "Error") {
						found[s.Name.Name] = ""
					}
				case *ast.ValueSpec:
					for i, name := range s.Names {
						if strings.HasPrefix(name.Name, "Err") {
							found[name.Name] = text(s.Values, i)
						}
					}
				}
			}
		}
	})
	return found
}

// text returns the text of an error that is made by errors.New, or "".
func text(values []ast.Expr, i int) string {
	if i >= len(values) {
		return ""
	}
	if call, ok := values[i].(*ast.CallExpr); ok && len(call.Args) == 1 {
		return literal(call.Args[0])
	}
	return ""
}

// TestMessagesExist checks that the messages that the page about errors quotes in its headings are
// messages of the code: an … in them stands for what the code fills in.
func TestMessagesExist(t *testing.T) {
	var texts []string
	for _, folder := range []string{"sqllock", "dialect", "migrations", "cmd", "internal/cli"} {
		each(t, folder+"/...", func(file *ast.File) {
			ast.Inspect(file, func(n ast.Node) bool {
				expr, ok := n.(ast.Expr)
				if !ok {
					return true
				}
				s := literal(expr)
				if s != "" {
					texts = append(texts, s)
				}
				return s == "" // otherwise the parts of a sum would count, too
			})
		})
	}
	quoted := regexp.MustCompile("`([^`]+)`")
	n := 0
	for h := range sections(t, troubleshooting) {
		for _, found := range quoted.FindAllStringSubmatch(h, -1) {
			if !strings.Contains(found[1], " ") {
				continue // a name
			}
			n++
			if !quotes(texts, found[1]) {
				t.Errorf("%s has the message %q, which no code has", troubleshooting, found[1])
			}
		}
	}
	if n < 10 {
		t.Errorf("found %d messages; there are more, so the search is broken", n)
	}
}

var verb = regexp.MustCompile(`%(\[\d+\])?[a-z]`)

// quotes reports whether one of the texts contains the message.
func quotes(texts []string, message string) bool {
	for _, t := range texts {
		if strings.Contains(verb.ReplaceAllString(t, "…"), message) {
			return true
		}
	}
	return false
}

// literal returns the text of a string constant that is written out, perhaps as a sum, or "".
func literal(expr ast.Expr) string {
	switch e := expr.(type) {
	case *ast.BasicLit:
		s, err := strconv.Unquote(e.Value)
		if e.Kind != token.STRING || err != nil {
			return ""
		}
		return s
	case *ast.BinaryExpr:
		left, right := literal(e.X), literal(e.Y)
		if e.Op == token.ADD && left != "" && right != "" {
			return left + right
		}
	}
	return ""
}

// sections returns the text below each heading of a page, by heading.
func sections(t *testing.T, path string) map[string]string {
	t.Helper()
	texts, last := make(map[string]string), ""
	for _, p := range all(t) {
		if p.Path != path {
			continue
		}
		for line := range strings.Lines(p.Prose()) {
			if found := heading.FindStringSubmatch(strings.TrimRight(line, "\n")); found != nil {
				last = found[1]
			}
			texts[last] += line
		}
	}
	if len(texts) == 0 {
		t.Fatalf("%s has no headings", path)
	}
	return texts
}

// each calls f with the files of a folder, and with /... behind its name of those below it, but not
// with tests.
func each(t *testing.T, folder string, f func(file *ast.File)) {
	t.Helper()
	folder, below := strings.CutSuffix(folder, "/...")
	top := filepath.Join(root, folder)
	err := filepath.WalkDir(top, func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && path != top && !below:
			return fs.SkipDir
		case e.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err == nil {
			f(file)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
