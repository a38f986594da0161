package design

import (
	"go/ast"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
)

// TestFunctionRoutes compares the route table of the functions with openapi.yaml, which tests of functions/api hold
// against the handlers.
func TestFunctionRoutes(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromFile(inRepo(t, "functions/openapi.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	have := map[string]bool{}
	for path, item := range doc.Paths.Map() {
		for verb := range item.Operations() {
			have[verb+" "+path] = true
		}
	}
	page := map[string]bool{}
	for _, row := range pageSection(t, 8).table(t, "methods").rows {
		for _, verb := range words(row[0]) {
			for _, path := range words(row[1]) {
				page[verb+" "+path] = true
			}
		}
	}
	same(t, "routes of the functions", page, have)
}

// TestRealtimeRoutes compares the route table of realtime/ with the patterns that its server registers.
func TestRealtimeRoutes(t *testing.T) {
	page := map[string]bool{}
	for _, row := range pageSection(t, 8).table(t, "route of `realtime/`").rows {
		for _, w := range words(row[0]) {
			page[w] = true
		}
	}
	same(t, "routes of realtime/", page, realtimeRoutes(t))
}

// realtimeRoutes returns the patterns that the server of realtime/ registers.
func realtimeRoutes(t *testing.T) map[string]bool {
	t.Helper()
	s := parse(t, "realtime/server")
	have := map[string]bool{}
	for _, f := range s.files {
		for _, decl := range f.Decls {
			fn, ok := decl.(*ast.FuncDecl)
			if !ok {
				continue
			}
			params := map[string]bool{}
			for _, p := range fn.Type.Params.List {
				for _, name := range p.Names {
					params[name.Name] = true
				}
			}
			ast.Inspect(fn, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok || len(call.Args) != 2 {
					return true
				}
				switch method(call) {
				case "handle", "Handle", "HandleFunc":
				default:
					return true
				}
				if id, ok := call.Args[0].(*ast.Ident); ok && params[id.Name] {
					return true // the pattern is the caller's
				}
				if pattern, ok := s.text(t, call.Args[0]); ok && strings.Contains(pattern, "/") {
					have[pattern] = true
				} else {
					t.Errorf("realtime/server: the pattern of a route in %s cannot be read", fn.Name.Name)
				}
				return true
			})
		}
	}
	return have
}
