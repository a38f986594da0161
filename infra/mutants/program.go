package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"slices"
	"strconv"
	"strings"
)

// selector is the environment variable that selects a mutant of a program by its number. 0 selects none.
const selector = "PHOENIX_MUTANT"

// program is the text of a package that contains many mutants at once, because the tests of a package take less time
// than compiling and linking them. For each mutant it has a copy of the function with the mutant, and the function
// calls the copy of the selected mutant.
type program struct {
	files  map[string]string // texts, by path below the root
	copies map[string][]span // where the copies of a file are, in order
	chosen []int             // numbers of the mutants in it
}

// span is the lines of the copy for a mutant.
type span struct{ mutant, first, last int }

// newProgram returns a program with those mutants that are inside of a function. texts are the files of the package by
// path. Mutants are numbered by their place in list, from 1. Those in exclude are left out.
func newProgram(texts map[string]string, list []mutant, exclude map[int]bool) (*program, error) {
	p := &program{files: map[string]string{}, copies: map[string][]span{}}
	for file, text := range texts {
		if err := p.addFile(file, text, list, exclude); err != nil {
			return nil, err
		}
	}
	slices.Sort(p.chosen)
	return p, nil
}

func (p *program) addFile(file, text string, list []mutant, exclude map[int]bool) error {
	set := token.NewFileSet()
	parsed, err := parser.ParseFile(set, file, text, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	p.files[path.Join(path.Dir(file), "mutants_selected.go")] = fmt.Sprintf("package %s\n\n"+
		"import (\n\t\"os\"\n\t\"strconv\"\n)\n\nvar selectedMutant, _ = strconv.Atoi(os.Getenv(%q))\n",
		parsed.Name.Name, selector)
	var out, copies strings.Builder
	type copied struct {
		mutant int
		text   string
	}
	var all []copied
	at := 0
	for _, d := range parsed.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok || fn.Body == nil {
			continue
		}
		f := &function{fn, text, set.File(fn.Pos())}
		var cases strings.Builder
		for i, m := range list {
			n := i + 1
			if m.File != file || exclude[n] {
				continue
			}
			offset, from, to, err := m.find(text)
			if err != nil {
				return err
			}
			if offset < f.offset(fn.Body.Pos()) || offset >= f.offset(fn.Body.End()) {
				continue
			}
			name := fmt.Sprintf("%s_mutant%d", fn.Name.Name, n)
			all = append(all, copied{n, f.slice(fn.Pos(), fn.Name.Pos()) + name +
				text[f.offset(fn.Name.End()):offset] + to + text[offset+len(from):f.offset(fn.End())] + "\n"})
			cases.WriteString(f.call(n, name))
			p.chosen = append(p.chosen, n)
		}
		if cases.Len() == 0 {
			continue
		}
		out.WriteString(text[at:f.offset(fn.Pos())])
		out.WriteString(f.header())
		out.WriteString("{\nswitch selectedMutant {\n" + cases.String() + "}\n")
		at = f.offset(fn.Body.Lbrace) + 1
	}
	out.WriteString(text[at:])
	line := 1 + strings.Count(out.String(), "\n")
	for _, c := range all {
		lines := strings.Count(c.text, "\n")
		p.copies[file] = append(p.copies[file], span{c.mutant, line, line + lines - 1})
		line += lines
		copies.WriteString(c.text)
	}
	p.files[file] = out.String() + copies.String()
	return nil
}

// mutantAt returns the number of the mutant whose copy has a line, or 0.
func (p *program) mutantAt(file string, line int) int {
	for _, s := range p.copies[file] {
		if s.first <= line && line <= s.last {
			return s.mutant
		}
	}
	return 0
}

// function is the declaration of a function and the text of its file.
type function struct {
	*ast.FuncDecl
	text string
	file *token.File
}

func (f *function) offset(p token.Pos) int { return f.file.Offset(p) }

func (f *function) slice(from, to token.Pos) string { return f.text[f.offset(from):f.offset(to)] }

// receiver returns the name of the receiver, or "" for a function without one.
func (f *function) receiver() string {
	if f.Recv == nil {
		return ""
	}
	if names := f.Recv.List[0].Names; len(names) > 0 && names[0].Name != "_" {
		return names[0].Name
	}
	return "mutantReceiver"
}

// parameters calls each with the name and the type of every parameter. It invents the names that are missing.
func (f *function) parameters(each func(name, kind string, variadic bool)) {
	i := 0
	for _, field := range f.Type.Params.List {
		_, variadic := field.Type.(*ast.Ellipsis)
		names := field.Names
		if len(names) == 0 {
			names = []*ast.Ident{{Name: "_"}}
		}
		for _, n := range names {
			name := n.Name
			if name == "_" {
				name = "mutantParameter" + strconv.Itoa(i)
			}
			i++
			each(name, f.slice(field.Type.Pos(), field.Type.End()), variadic)
		}
	}
}

// header returns the text of the function up to its body, with a name for the receiver and for every parameter.
func (f *function) header() string {
	h := "func "
	if f.Recv != nil {
		kind := f.Recv.List[0].Type
		h += "(" + f.receiver() + " " + f.slice(kind.Pos(), kind.End()) + ") "
	}
	h += f.Name.Name
	if tp := f.Type.TypeParams; tp != nil {
		h += f.slice(tp.Pos(), tp.End())
	}
	var params []string
	f.parameters(func(name, kind string, _ bool) { params = append(params, name+" "+kind) })
	h += "(" + strings.Join(params, ", ") + ") "
	if r := f.Type.Results; r != nil {
		h += f.slice(r.Pos(), r.End()) + " "
	}
	return h
}

// call returns the case of the switch that calls the copy with a mutant.
func (f *function) call(n int, name string) string {
	var args []string
	f.parameters(func(name, _ string, variadic bool) {
		if variadic {
			name += "..."
		}
		args = append(args, name)
	})
	if f.Recv != nil {
		name = f.receiver() + "." + name
	}
	if tp := f.Type.TypeParams; tp != nil {
		var names []string
		for _, field := range tp.List {
			for _, n := range field.Names {
				names = append(names, n.Name)
			}
		}
		name += "[" + strings.Join(names, ", ") + "]"
	}
	call := name + "(" + strings.Join(args, ", ") + ")"
	if f.Type.Results == nil {
		return fmt.Sprintf("case %d:\n%s\nreturn\n", n, call)
	}
	return fmt.Sprintf("case %d:\nreturn %s\n", n, call)
}
