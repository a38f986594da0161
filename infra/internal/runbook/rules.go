package runbook

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// Rules says what exists. All functions return what is wrong with a command, or "".
type Rules struct {
	Terraform Terraform
	Gcloud    Tool

	// Help describes the flags of a package as `go run PACKAGE -help` does, and contains the words it takes.
	Help func(pkg string) (string, error)

	Routes []string // paths of the chat
}

// plain are programs whose arguments are not checked.
var plain = []string{"basename", "date", "docker", "git", "printf", "read"}

// Check returns the problems of a command.
func (r Rules) Check(c Command) (problems []Problem) {
	var texts []string
	switch program, args := c.Words[0], c.Words[1:]; program {
	case "terraform":
		texts = r.Terraform.check(args)
	case "gcloud":
		texts = r.Gcloud.checkGcloud(args)
	case "go":
		texts = r.checkGo(args)
	case "curl":
		texts = r.checkCurl(args)
	default:
		if !slices.Contains(plain, program) {
			texts = []string{"the program " + program + " is not known"}
		}
	}
	for _, t := range texts {
		problems = append(problems, Problem{c.Line, t + ": " + c.String()})
	}
	return problems
}

func (r Rules) checkCurl(args []string) (texts []string) {
	n := 0
	for _, a := range args {
		if u, err := url.Parse(a); err == nil && u.Host != "" {
			n++
			if !slices.Contains(r.Routes, u.Path) {
				texts = append(texts, "the chat does not serve "+u.Path)
			}
		} else if !slices.Contains([]string{"-i", "-s", "-f"}, a) {
			texts = append(texts, "unknown argument "+a)
		}
	}
	if n != 1 {
		texts = append(texts, "give one URL")
	}
	return texts
}

var (
	goFlag = regexp.MustCompile(`(?m)^  -([\w-]+)( .+)?$`)
	goWord = regexp.MustCompile(`^[a-z]+$`)
)

// checkGo checks `go run PACKAGE ARGUMENT…` by what the program prints about its flags.
func (r Rules) checkGo(args []string) (texts []string) {
	if len(args) < 2 || args[0] != "run" || !strings.HasPrefix(args[1], "./") {
		return []string{"only go run ./PACKAGE is known"}
	}
	help, err := r.Help(args[1])
	if err != nil {
		return []string{err.Error()}
	}
	flags := map[string]bool{} // whether it has a value
	for _, m := range goFlag.FindAllStringSubmatch(help, -1) {
		flags[m[1]] = m[2] != ""
	}
	given := map[string]bool{}
	for args = args[2:]; len(args) > 0; args = args[1:] {
		name, isFlag := strings.CutPrefix(args[0], "-")
		name, _, hasValue := strings.Cut(name, "=")
		takesValue, known := flags[name]
		switch {
		case !isFlag && !(goWord.MatchString(args[0]) && strings.Contains(help, args[0])):
			texts = append(texts, "unknown argument "+args[0])
		case isFlag && !known:
			texts = append(texts, "unknown flag -"+name)
		case isFlag && takesValue && !hasValue:
			if len(args) < 2 || args[1] == "" || strings.HasPrefix(args[1], "-") {
				texts = append(texts, "the flag -"+name+" has no value")
				break
			}
			args = args[1:]
		}
		given[name] = isFlag || given[name]
	}
	if _, ok := flags["project"]; ok && !given["project"] {
		texts = append(texts, "it needs -project")
	}
	return texts
}

// Terraform says what the configuration has.
type Terraform struct {
	Tool
	Chdir     string          // folder of the configuration
	Variables map[string]bool // whether a value is required
	Outputs   []string
	Resources map[string]Resource // by address without an index
}

// Resource is a resource of the configuration.
type Resource struct {
	// NameReserved says that the name of a deleted one cannot be used again soon.
	NameReserved bool
	CreateFirst  bool // create_before_destroy
	Named        bool // it has an argument with its name, which a replacement keeps
	Protected    bool // it can be deleted only with protect = false
}

// check checks the arguments of a terraform command.
func (t Terraform) check(args []string) (texts []string) {
	wrong := func(format string, a ...any) { texts = append(texts, fmt.Sprintf(format, a...)) }
	if len(args) < 2 || args[0] != "-chdir="+t.Chdir {
		return []string{"it needs -chdir=" + t.Chdir}
	}
	sub, args := args[1], args[2:]
	known, ok := t.Commands[sub]
	if !ok && len(args) > 0 { // "providers lock"
		sub, args = sub+" "+args[0], args[1:]
		known, ok = t.Commands[sub]
	}
	if !ok {
		return []string{"unknown subcommand " + sub}
	}
	vars, replace := map[string]string{}, []string{}
	var words []string
	for ; len(args) > 0; args = args[1:] {
		name, value, hasValue := strings.Cut(args[0], "=")
		if !strings.HasPrefix(name, "-") {
			words = append(words, args[0])
			continue
		}
		if _, ok := known.Flags[name]; !ok {
			wrong("unknown flag %s", name)
		}
		switch name {
		case "-var":
			if !hasValue && len(args) > 1 {
				args = args[1:]
				value = args[0]
			}
			v, x, _ := strings.Cut(value, "=")
			vars[v] = x
			if _, ok := t.Variables[v]; !ok || x == "" {
				wrong("-var %s is not a variable with a value", value)
			}
		case "-replace", "-target":
			replace = append(replace, value)
		}
	}
	if slices.Contains([]string{"apply", "plan", "destroy", "import", "refresh", "console"}, sub) {
		for name, required := range t.Variables {
			if _, ok := vars[name]; required && !ok {
				wrong("it needs -var %s=…", name)
			}
		}
	}
	if sub == "destroy" && vars["protect"] != "false" {
		wrong("it needs -var protect=false")
	}
	for _, address := range replace {
		t.checkReplace(address, vars, wrong)
	}
	want := map[string]int{"output": 1, "import": 2, "force-unlock": 1}[sub]
	if len(words) != want && !(sub == "output" && len(words) == 0) {
		wrong("%d arguments, want %d", len(words), want)
		return texts
	}
	switch sub {
	case "output":
		if len(words) == 1 && !slices.Contains(t.Outputs, words[0]) {
			wrong("%s is not an output", words[0])
		}
	case "import":
		if _, ok := t.Resources[address(words[0])]; !ok {
			wrong("%s is not in the configuration", words[0])
		}
	}
	return texts
}

// address returns the address of a resource without its index.
func address(a string) string {
	a, _, _ = strings.Cut(a, "[")
	return a
}

// checkReplace checks whether a resource can be replaced.
func (t Terraform) checkReplace(a string, vars map[string]string, wrong func(string, ...any)) {
	r, ok := t.Resources[address(a)]
	switch {
	case !ok:
		wrong("%s is not in the configuration", a)
	case r.Named && (r.CreateFirst || r.NameReserved):
		wrong("%s would get the name that it has now, which is not free: replace what its name is made of", a)
	case r.Protected && vars["protect"] != "false":
		wrong("%s is protected: it needs -var protect=false", a)
	}
}
