package design

import (
	"fmt"
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

const module = "github.com/phoenixchat/phoenixchat/"

// source is one Go package, parsed without its tests.
type source struct {
	dir    string // relative to the repository's root
	files  []*ast.File
	consts map[string]ast.Expr // declared in the package, also inside functions
	values map[string]ast.Expr // defaults of options; see collect
}

var parsed = map[string]*source{}

// parse reads the package in a folder. It is not safe for parallel tests, of which this package has none.
func parse(t testing.TB, dir string) *source {
	t.Helper()
	if s := parsed[dir]; s != nil {
		return s
	}
	paths, err := filepath.Glob(filepath.Join(inRepo(t, dir), "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	s := &source{dir: dir, consts: map[string]ast.Expr{}, values: map[string]ast.Expr{}}
	for _, p := range paths {
		if strings.HasSuffix(p, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), p, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		s.files = append(s.files, f)
	}
	if len(s.files) == 0 {
		t.Fatalf("%s has no Go files", dir)
	}
	for _, f := range s.files {
		ast.Inspect(f, s.collect)
	}
	parsed[dir] = s
	return s
}

// collect notes constants, and the defaults of options: `x.Name = v`, and the pairs `&x.Name, v` with which the
// packages of realtime/ fill in what is unset.
func (s *source) collect(n ast.Node) bool {
	pairs := func(list []ast.Expr) {
		for i := 0; i+1 < len(list); i++ {
			if ref, ok := list[i].(*ast.UnaryExpr); ok && ref.Op == token.AND {
				if sel, ok := ref.X.(*ast.SelectorExpr); ok {
					s.values[strings.ToLower(sel.Sel.Name)] = list[i+1]
				}
			}
		}
	}
	switch n := n.(type) {
	case *ast.GenDecl:
		for _, spec := range n.Specs {
			if v, ok := spec.(*ast.ValueSpec); ok && n.Tok == token.CONST {
				for i, name := range v.Names {
					if i < len(v.Values) {
						s.consts[name.Name] = v.Values[i]
					}
				}
			}
		}
	case *ast.AssignStmt:
		if len(n.Lhs) == len(n.Rhs) && n.Tok == token.ASSIGN {
			for i := range n.Lhs {
				if sel, ok := n.Lhs[i].(*ast.SelectorExpr); ok {
					s.values[strings.ToLower(sel.Sel.Name)] = n.Rhs[i]
				}
			}
		}
	case *ast.CallExpr:
		pairs(n.Args)
	case *ast.CompositeLit:
		pairs(n.Elts)
	}
	return true
}

var units = map[string]time.Duration{"Nanosecond": 1, "Microsecond": time.Microsecond, "Millisecond": time.Millisecond,
	"Second": time.Second, "Minute": time.Minute, "Hour": time.Hour}

// eval returns the value of a constant expression.
func (s *source) eval(t testing.TB, e ast.Expr) (constant.Value, error) {
	switch e := e.(type) {
	case *ast.BasicLit:
		return constant.MakeFromLiteral(e.Value, e.Kind, 0), nil
	case *ast.ParenExpr:
		return s.eval(t, e.X)
	case *ast.CallExpr: // a conversion
		if len(e.Args) == 1 {
			return s.eval(t, e.Args[0])
		}
	case *ast.Ident:
		if v, ok := s.consts[e.Name]; ok {
			return s.eval(t, v)
		}
	case *ast.SelectorExpr:
		pkg, ok := e.X.(*ast.Ident)
		if !ok {
			break
		}
		if d, ok := units[e.Sel.Name]; ok && pkg.Name == "time" {
			return constant.MakeInt64(int64(d)), nil
		}
		if dir, ok := s.imported(pkg.Name); ok {
			other := parse(t, dir)
			return other.eval(t, e.Sel)
		}
	case *ast.BinaryExpr:
		x, err := s.eval(t, e.X)
		if err != nil {
			return nil, err
		}
		y, err := s.eval(t, e.Y)
		if err != nil {
			return nil, err
		}
		if e.Op == token.SHL || e.Op == token.SHR {
			n, _ := constant.Uint64Val(y)
			return constant.Shift(x, e.Op, uint(n)), nil
		}
		return constant.BinaryOp(x, e.Op, y), nil
	}
	return nil, fmt.Errorf("%s: an expression of type %T is not a constant", s.dir, e)
}

// imported returns the folder of a package of this repository that the source imports under a name.
func (s *source) imported(name string) (string, bool) {
	for _, f := range s.files {
		for _, imp := range f.Imports {
			p, _ := strconv.Unquote(imp.Path.Value) // it was parsed
			if dir, ok := strings.CutPrefix(p, module); ok && path.Base(dir) == name {
				return dir, true
			}
		}
	}
	return "", false
}

// imports reports whether the source imports a package whose path has a suffix.
func (s *source) imports(suffix string) bool {
	for _, f := range s.files {
		for _, imp := range f.Imports {
			if strings.HasSuffix(strings.Trim(imp.Path.Value, `"`), suffix) {
				return true
			}
		}
	}
	return false
}

// text returns a constant expression that is a string.
func (s *source) text(t testing.TB, e ast.Expr) (string, bool) {
	v, err := s.eval(t, e)
	if err != nil || v.Kind() != constant.String {
		return "", false
	}
	return constant.StringVal(v), true
}

// number returns the constant, or the default of the option, of a name.
func (s *source) number(t testing.TB, name string) int64 {
	t.Helper()
	e, ok := s.values[strings.ToLower(name)]
	for have, v := range s.consts {
		if strings.EqualFold(have, name) { // exported or not
			e, ok = v, true
		}
	}
	if !ok {
		t.Fatalf("%s has no constant and no default %q", s.dir, name)
	}
	v, err := s.eval(t, e)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	n, exact := constant.Int64Val(constant.ToInt(v))
	if !exact {
		t.Fatalf("%s: %s is not a whole number", s.dir, name)
	}
	return n
}

// constants returns the string constants whose names have a prefix, by value.
func (s *source) constants(t testing.TB, prefix string) map[string]string {
	t.Helper()
	found := map[string]string{}
	for name, e := range s.consts {
		if v, ok := s.text(t, e); ok && strings.HasPrefix(name, prefix) {
			found[v] = name
		}
	}
	if len(found) == 0 {
		t.Fatalf("%s has no constants %s…", s.dir, prefix)
	}
	return found
}

// packages returns the folders below dir that have Go files, without those of test helpers.
func packages(t testing.TB, dir string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(inRepo(t, dir), func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		if strings.HasSuffix(d.Name(), "test") || d.Name() == "testdata" || d.Name() == "testwait" {
			return fs.SkipDir
		}
		files, err := filepath.Glob(filepath.Join(p, "*.go"))
		if err != nil || len(files) == 0 {
			return err
		}
		rel, err := filepath.Rel(inRepo(t, "."), p)
		all = append(all, filepath.ToSlash(rel))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// method returns the name of the method or function that a call calls.
func method(call *ast.CallExpr) string {
	switch f := call.Fun.(type) {
	case *ast.SelectorExpr:
		return f.Sel.Name
	case *ast.Ident:
		return f.Name
	case *ast.IndexExpr:
		if id, ok := f.X.(*ast.Ident); ok {
			return id.Name
		}
	}
	return ""
}

// script finds `const NAME = value` in TypeScript.
var script = regexp.MustCompile(`(?m)^(?:export )?const ([A-Z_]+)(?:: \w+)? = ([^;]+);`)

// browser returns a numeric constant of a file of the web client.
func browser(t testing.TB, file, name string) int64 {
	t.Helper()
	for _, m := range script.FindAllStringSubmatch(readFile(t, file), -1) {
		if m[1] != name {
			continue
		}
		e, err := parser.ParseExpr(m[2])
		if err != nil {
			t.Fatalf("%s: %s: %v", file, name, err)
		}
		v, err := (&source{dir: file}).eval(t, e)
		if err != nil {
			t.Fatal(err)
		}
		n, _ := constant.Int64Val(constant.ToInt(v))
		return n
	}
	t.Fatalf("%s has no constant %s", file, name)
	return 0
}
