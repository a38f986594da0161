// Package runbook reads the commands of a page for operators and checks them without running them: whether a command
// is complete, and whether programs, flags, variables, addresses and URLs exist. On a bad night nobody wants to find
// out what a command should have been.
//
// [Read] finds the commands, and [Rules] checks them.
package runbook

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// Command is a command of the page. Its variables are replaced by their values, and the commands inside it, $(…), by
// made-up values; those are Commands of their own.
type Command struct {
	Line  int
	Words []string
}

func (c Command) String() string { return strings.Join(c.Words, " ") }

// Problem is something that a person who pastes the command would stumble over.
type Problem struct {
	Line int
	Text string
}

func (p Problem) String() string { return fmt.Sprintf("line %d: %s", p.Line, p.Text) }

// madeUp has what a command inside another one prints, by program. A date is used for all others.
var madeUp = map[string]string{"gcloud": "123456789012", "terraform": "https://chat.example.org"}

// checkedPrograms are the programs whose commands are checked also where the text names them in `…`.
var checkedPrograms = []string{"curl", "docker", "gcloud", "go", "terraform"}

// Read returns the commands of all blocks ```sh and of all spans `PROGRAM ARGUMENT…` of the text.
//
// The variables that the first block exports are set everywhere. A variable that another block sets is set until the
// next heading of the second level.
func Read(markdown string) ([]Command, []Problem) {
	r := &reader{exported: map[string]string{}, section: map[string]string{}, first: true}
	lines := strings.Split(markdown, "\n")
	for i := 0; i < len(lines); i++ {
		begin := i
		if strings.TrimSpace(lines[i]) == "```sh" {
			for i++; i < len(lines) && strings.TrimSpace(lines[i]) != "```"; i++ {
			}
			r.comments(begin+2, strings.Join(lines[begin+1:i], "\n"))
			r.script(begin+2, strings.Join(lines[begin+1:i], "\n"))
			r.first = false
			continue
		}
		if strings.HasPrefix(lines[i], "## ") {
			clear(r.section)
		}
		for i+1 < len(lines) && lines[i+1] != "" && !strings.HasPrefix(strings.TrimSpace(lines[i+1]), "```") {
			i++ // a span may continue in the next line
		}
		r.spans(begin+1, strings.Join(lines[begin:i+1], "\n"))
	}
	return r.commands, r.problems
}

// reader collects the commands of a page.
type reader struct {
	first    bool              // no block was read yet
	exported map[string]string // variables of the first block
	section  map[string]string // variables of the blocks of this section
	commands []Command
	problems []Problem
}

func (r *reader) problem(line int, format string, args ...any) {
	r.problems = append(r.problems, Problem{line, fmt.Sprintf(format, args...)})
}

var spanPattern = regexp.MustCompile("`([^`]+)`")

// spans reads the commands in a paragraph that begins at a line.
func (r *reader) spans(line int, paragraph string) {
	for _, m := range spanPattern.FindAllStringSubmatchIndex(paragraph, -1) {
		span := strings.Join(strings.Fields(paragraph[m[2]:m[3]]), " ")
		program, arguments, _ := strings.Cut(span, " ")
		if arguments != "" && slices.Contains(checkedPrograms, program) {
			r.script(line+strings.Count(paragraph[:m[0]], "\n"), span)
		}
	}
}

// comments reports the comments of a block. An interactive zsh, the default of macOS, does not know comments: it reads
// their words as arguments, and an apostrophe as the beginning of a string.
func (r *reader) comments(line int, text string) {
	parser := syntax.NewParser(syntax.Variant(syntax.LangBash), syntax.KeepComments(true))
	file, err := parser.Parse(strings.NewReader(text), "")
	if err != nil {
		return // script reports it
	}
	syntax.Walk(file, func(n syntax.Node) bool {
		if c, ok := n.(*syntax.Comment); ok {
			r.problem(line+int(c.Pos().Line())-1, "zsh does not know comments, write this in the text: #%s", c.Text)
		}
		return true
	})
}

// script reads the commands of a script that begins at a line.
func (r *reader) script(line int, text string) {
	file, err := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(strings.NewReader(text), "")
	if err != nil {
		r.problem(line, "bash cannot read this: %v", err)
		return
	}
	s := script{reader: r, line: line}
	for _, stmt := range file.Stmts {
		s.walk(stmt)
	}
}

// script is a block, or a command in the text.
type script struct {
	*reader
	line int // of its first line
}

func (s script) at(n syntax.Node) int { return s.line + int(n.Pos().Line()) - 1 }

// walk reads a part of a script, in the order in which bash runs it.
func (s script) walk(root syntax.Node) {
	syntax.Walk(root, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.CallExpr:
			for _, a := range n.Assigns {
				s.set(a, false)
			}
			if len(n.Args) > 0 {
				s.call(n)
			}
			return false
		case *syntax.DeclClause:
			for _, a := range n.Args {
				s.set(a, n.Variant.Value == "export")
			}
			return false
		case *syntax.WordIter:
			s.section[n.Name.Value] = "item"
		}
		return true
	})
}

// set reads an assignment.
func (s script) set(a *syntax.Assign, export bool) {
	if a.Name == nil || a.Value == nil {
		return
	}
	value := s.expand(a.Value)
	if s.first && export {
		s.exported[a.Name.Value] = value
	} else {
		s.section[a.Name.Value] = value
	}
}

// call reads a command.
func (s script) call(n *syntax.CallExpr) {
	c := Command{Line: s.at(n)}
	for _, w := range n.Args {
		c.Words = append(c.Words, s.expand(w))
	}
	if c.Words[0] == "read" {
		for _, name := range c.Words[1:] {
			s.section[name] = "item"
		}
	}
	if strings.Contains(c.String(), "…") {
		s.problem(c.Line, "the command is not complete: %s", c)
		return
	}
	s.commands = append(s.commands, c)
}

// expand returns the value of a word. It reports variables that are not set.
func (s script) expand(w *syntax.Word) string {
	var b strings.Builder
	for _, p := range w.Parts {
		s.part(&b, p, false)
	}
	s.modifiers(w.Parts)
	return b.String()
}

// zshModifier matches text after $NAME that an interactive zsh reads as a modifier or a subscript of the variable, also
// between double quotes: "$REPO:ref" is the value without its extension, and "ef".
var zshModifier = regexp.MustCompile(`^(:[a-zA-Z&]|\[)`)

// modifiers reports variables that bash and zsh expand to different values.
func (s script) modifiers(parts []syntax.WordPart) {
	for i, p := range parts {
		if quotes, ok := p.(*syntax.DblQuoted); ok {
			s.modifiers(quotes.Parts)
		}
		variable, ok := p.(*syntax.ParamExp)
		if !ok || !variable.Short || i+1 == len(parts) {
			continue
		}
		if next, ok := parts[i+1].(*syntax.Lit); ok && zshModifier.MatchString(next.Value) {
			name := variable.Param.Value
			s.problem(s.at(p), "zsh reads more than the variable in $%s%s, write ${%s}", name, next.Value, name)
		}
	}
}

func (s script) part(b *strings.Builder, p syntax.WordPart, quoted bool) {
	switch p := p.(type) {
	case *syntax.Lit:
		if !quoted && strings.ContainsAny(p.Value, "*?[") {
			s.problem(s.at(p), "zsh looks for files with the name %s, quote it", p.Value)
		}
		b.WriteString(p.Value)
	case *syntax.SglQuoted:
		b.WriteString(p.Value)
	case *syntax.DblQuoted:
		for _, q := range p.Parts {
			s.part(b, q, true)
		}
	case *syntax.ParamExp:
		name := p.Param.Value
		value, ok := s.section[name]
		if !ok {
			value, ok = s.exported[name]
		}
		if !ok {
			s.problem(s.at(p), "the variable %s is not set", name)
		}
		if !quoted {
			s.problem(s.at(p), "quote the variable %s", name)
		}
		b.WriteString(value)
	case *syntax.CmdSubst:
		before := len(s.commands)
		for _, stmt := range p.Stmts {
			s.walk(stmt)
		}
		printed := "20260102-030405"
		for _, c := range s.commands[before:] {
			if text, ok := madeUp[c.Words[0]]; ok {
				printed = text
			}
		}
		b.WriteString(printed)
	default:
		s.problem(s.at(p), "write this without %T, so that it can be checked", p)
	}
}
