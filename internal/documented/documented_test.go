package documented

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode"
)

const root = "../.."

// TestEveryExportIsDocumented checks every package that a user can import, including struct fields.
func TestEveryExportIsDocumented(t *testing.T) {
	var seen int
	for _, path := range sources(t) {
		src, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		n, bare, err := undocumented(path, src)
		if err != nil {
			t.Fatal(err)
		}
		seen += n
		for _, b := range bare {
			t.Errorf("%s has no comment", b)
		}
	}
	if seen < 100 {
		t.Errorf("found %d exported names; there are more, so the search is broken", seen)
	}
}

// TestFindsWhatIsMissing shows that the check above can fail.
func TestFindsWhatIsMissing(t *testing.T) {
	const src = `package p

const A, b = 1, 2

// Kind is documented.
type Kind int

// The kinds.
const (
	One Kind = iota
	Two
)

var (
	V int // documented at the end
	W int
)

type S struct {
	F int
	g int
	H struct{ I int } // documented
}

// T is documented, and so is T.F here.
type T struct {
	F int
	G int // as H is here
	H int
	I int
}

func (S) M() {}
func (s) M() {}
func F()     {}
func f()     {}

// I is documented.
type I interface {
	N()
	// O is documented.
	O()
	S
}

// G is documented.
type G[T any] struct{ T T }

func (g *G[T]) P() {}
`
	_, bare, err := undocumented("p.go", []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"p.go:3: A", "p.go:16: W", "p.go:19: S", "p.go:20: S.F", "p.go:22: S.H.I", "p.go:30: T.I", "p.go:33: S.M",
		"p.go:35: F", "p.go:40: I.N", "p.go:47: G.T", "p.go:49: G.P",
	}
	if !slices.Equal(bare, want) {
		t.Errorf("got  %q\nwant %q", bare, want)
	}
}

// sources returns the files of the packages that a user can import.
func sources(t *testing.T) []string {
	t.Helper()
	var paths []string
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		switch name := e.Name(); {
		case err != nil:
			return err
		case e.IsDir() && path != root && (strings.HasPrefix(name, ".") || name == "internal" || name == "testdata"):
			return fs.SkipDir
		case !e.IsDir() && strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go"):
			paths = append(paths, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

// undocumented counts the exported names in a file and returns those without a comment, each as
// file:line: name. For a field, a mention in the comment of its struct or of another field
// suffices.
func undocumented(path string, src []byte) (seen int, bare []string, err error) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, path, bytes.NewReader(src), parser.ParseComments|parser.SkipObjectResolution)
	if err != nil || file.Name.Name == "main" {
		return 0, nil, err
	}
	check := func(id *ast.Ident, owner string, documented bool) {
		if !id.IsExported() {
			return
		}
		seen++
		if !documented {
			bare = append(bare, fmt.Sprintf("%s:%d: %s%s", path, fset.Position(id.Pos()).Line, owner, id.Name))
		}
	}
	for _, decl := range file.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			if owner := receiver(d); owner == "" || ast.IsExported(owner) {
				check(d.Name, owner, d.Doc.Text() != "")
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				checkSpec(spec, d.Doc.Text(), check)
			}
		}
	}
	return seen, bare, nil
}

type checker func(id *ast.Ident, owner string, documented bool)

// checkSpec accepts the comment of a group of constants or variables for each of them, as go doc
// shows it.
func checkSpec(spec ast.Spec, group string, check checker) {
	switch s := spec.(type) {
	case *ast.ValueSpec:
		for _, id := range s.Names {
			check(id, "", group+s.Doc.Text()+s.Comment.Text() != "")
		}
	case *ast.TypeSpec:
		doc := group + s.Doc.Text()
		check(s.Name, "", doc != "")
		if s.Name.IsExported() {
			checkMembers(s.Type, s.Name.Name+".", doc, check)
		}
	}
}

// checkMembers checks the fields of a struct and the methods of an interface. An embedded type has
// its own comment.
func checkMembers(typ ast.Expr, owner, doc string, check checker) {
	var members *ast.FieldList
	switch t := typ.(type) {
	case *ast.StructType:
		members = t.Fields
		for _, m := range members.List {
			doc += m.Doc.Text() + m.Comment.Text()
		}
	case *ast.InterfaceType:
		members, doc = t.Methods, ""
	default:
		return
	}
	for _, m := range members.List {
		own := m.Doc.Text() + m.Comment.Text()
		for _, id := range m.Names {
			check(id, owner, own != "" || speaksOf(doc, id.Name))
			if id.IsExported() {
				checkMembers(m.Type, owner+id.Name+".", own, check)
			}
		}
	}
}

func speaksOf(text, name string) bool {
	words := strings.FieldsFunc(text, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	return slices.Contains(words, name)
}

// receiver returns the name of a method's type with a dot, or "".
func receiver(d *ast.FuncDecl) string {
	if d.Recv == nil {
		return ""
	}
	typ := d.Recv.List[0].Type
	for {
		switch t := typ.(type) {
		case *ast.StarExpr:
			typ = t.X
		case *ast.IndexExpr:
			typ = t.X
		case *ast.IndexListExpr:
			typ = t.X
		case *ast.Ident:
			return t.Name + "."
		default:
			return ""
		}
	}
}
