package terraform

import (
	"encoding/json"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	book "github.com/phoenixchat/phoenixchat/infra/internal/runbook"
)

// update makes TestRunbookCommands record what the installed gcloud knows about the commands of the runbook:
//
//	go test ./infra/terraform -run TestRunbookCommands -update
var update = flag.Bool("update", false, "record the commands of gcloud in "+gcloudFile)

const gcloudFile = "testdata/gcloud.json"

// terraformFlags are the flags of the subcommands that the runbook uses, as of Terraform 1.11. TestTerraformFlags
// compares them with the program.
var terraformFlags = map[string][]string{
	"apply":          {"-auto-approve", "-input", "-lock-timeout", "-replace", "-target", "-var"},
	"destroy":        {"-auto-approve", "-input", "-lock-timeout", "-target", "-var"},
	"plan":           {"-detailed-exitcode", "-input", "-lock", "-lock-timeout", "-out", "-replace", "-target", "-var"},
	"init":           {"-backend", "-backend-config", "-input", "-lockfile", "-migrate-state", "-reconfigure", "-upgrade"},
	"import":         {"-input", "-lock-timeout", "-var"},
	"output":         {"-json", "-raw"},
	"force-unlock":   {"-force"},
	"providers lock": {"-platform"},
}

// TestRunbookCommands checks every command of the runbook: those in blocks, with the variables that the first block
// exports, and those in the text. gcloud's own parser checks its commands where it is installed. Elsewhere they are
// compared with what was recorded from one version.
func TestRunbookCommands(t *testing.T) {
	page, _ := runbook(t)
	commands, problems := book.Read(page)
	var gcloud [][]string
	for _, c := range commands {
		if c.Words[0] == "gcloud" {
			gcloud = append(gcloud, c.Words[1:])
		}
	}
	version, parsed, err := book.ParseGcloud(gcloud)
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range parsed {
		if p.Error != "" {
			t.Errorf("gcloud %s\n  %s", strings.Join(gcloud[i], " "), p.Error)
		}
	}
	if *update {
		record(t, version, parsed)
	}
	rules := rulesOf(t)
	for _, p := range parsed {
		known := rules.Gcloud.Commands[p.Name].Flags
		for name := range p.Usage.Flags {
			if _, ok := known[name]; p.Error == "" && !ok {
				t.Errorf("%s of gcloud %s is not recorded, run this test with -update", name, p.Name)
			}
		}
	}
	rules.Help = help
	for _, c := range commands {
		problems = append(problems, rules.Check(c)...)
	}
	for _, p := range problems {
		t.Errorf("infra/RUNBOOK.md, %s", p)
	}
	if len(commands) < 50 || len(gcloud) < 20 {
		t.Errorf("found only %d commands, %d of them of gcloud", len(commands), len(gcloud))
	}
}

// record writes what gcloud knows about the commands of the book.
func record(t *testing.T, version string, parsed []book.Parsed) {
	t.Helper()
	tool := book.Tool{Version: version, Commands: map[string]book.Usage{}}
	for _, p := range parsed {
		usage := p.Usage
		if before, ok := tool.Commands[p.Name]; ok {
			maps.Copy(usage.Flags, before.Flags)
			// A flag may be required only together with another one.
			usage.Required = slices.DeleteFunc(usage.Required, func(f string) bool {
				return !slices.Contains(before.Required, f)
			})
		}
		if p.Error == "" {
			tool.Commands[p.Name] = usage
		}
	}
	if version == "" {
		t.Fatal("gcloud is not installed")
	}
	data, err := json.MarshalIndent(tool, "", "  ")
	if err == nil {
		err = os.WriteFile(gcloudFile, append(data, '\n'), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

var (
	resourceBlock = regexp.MustCompile(`(?ms)^resource "([^"]+)" "([^"]+)" \{\n(.*?)^\}`)
	namedArgument = regexp.MustCompile(`(?m)^  (name|role_id) +=`)
	protectedBy   = regexp.MustCompile(`(?m)^  \w+ += (local\.deletion_policy|var\.protect\b)`)
)

// reservedNames are the types whose names cannot be used again for a month after a deletion.
var reservedNames = []string{"google_apikeys_key", "google_project_iam_custom_role"}

// rulesOf returns the rules for the commands of the runbook, without Help.
func rulesOf(t *testing.T) book.Rules {
	t.Helper()
	rules := book.Rules{Terraform: book.Terraform{Chdir: "infra/terraform", Variables: map[string]bool{},
		Resources: map[string]book.Resource{}}}
	rules.Terraform.Commands = map[string]book.Usage{}
	for sub, flags := range terraformFlags {
		usage := book.Usage{Flags: map[string]bool{}}
		for _, f := range flags {
			usage.Flags[f] = true
		}
		rules.Terraform.Commands[sub] = usage
	}
	for _, b := range blocks(t) {
		switch {
		case b.file == "variables.tf":
			rules.Terraform.Variables[b.name] = !regexp.MustCompile(`(?m)^  default +=`).MatchString(b.body)
		case b.kind == "output" && !strings.Contains(b.file, "/"):
			rules.Terraform.Outputs = append(rules.Terraform.Outputs, b.name)
		}
	}
	files, err := fs.Glob(os.DirFS("."), "*.tf")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		for _, m := range resourceBlock.FindAllStringSubmatch(read(t, file), -1) {
			rules.Terraform.Resources[m[1]+"."+m[2]] = book.Resource{
				NameReserved: slices.Contains(reservedNames, m[1]),
				CreateFirst:  strings.Contains(m[3], "create_before_destroy = true"),
				Named:        namedArgument.MatchString(m[3]),
				Protected:    protectedBy.MatchString(m[3]),
			}
		}
	}
	if err := json.Unmarshal([]byte(read(t, gcloudFile)), &rules.Gcloud); err != nil {
		t.Fatal(err)
	}
	route := regexp.MustCompile(`"(?:GET |POST )?(/[^"]*)"`)
	for _, m := range route.FindAllStringSubmatch(read(t, "../../realtime/server/routes.go"), -1) {
		rules.Routes = append(rules.Routes, m[1])
	}
	return rules
}

func read(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// flagKinds are the methods that define a flag, with the position of its name among the arguments.
var flagKinds = map[string]int{"Bool": 0, "Duration": 0, "Int": 0, "String": 0, "BoolVar": 1, "DurationVar": 1,
	"IntVar": 1, "StringVar": 1}

// help returns the flags that the source of a Go program defines, in the form in which the flag package prints them,
// and its texts, which name its arguments. Building and running the programs would take much longer.
func help(pkg string) (string, error) {
	root := filepath.Join("..", "..")
	funcs, texts, err := parseFuncs(filepath.Join(root, pkg))
	if err != nil {
		return "", err
	}
	shared, _, err := parseFuncs(filepath.Join(root, "functions", "operator"))
	if err != nil {
		return "", err
	}
	var out strings.Builder
	for _, f := range funcs {
		types := map[string]string{} // of the variables whose method AddFlags may be called
		ast.Inspect(f, func(n ast.Node) bool {
			if spec, ok := n.(*ast.ValueSpec); ok {
				if t, ok := spec.Type.(*ast.SelectorExpr); ok {
					types[spec.Names[0].Name] = t.Sel.Name
				}
			}
			if name, receiver, _ := called(n); name == "AddFlags" {
				if add := shared["AddFlags of "+types[receiver]]; add != nil {
					writeFlags(&out, add)
				}
			}
			return true
		})
		writeFlags(&out, f)
	}
	return out.String() + strings.Join(texts, "\n"), nil
}

// writeFlags writes the flags that f defines.
func writeFlags(out *strings.Builder, f *ast.FuncDecl) {
	ast.Inspect(f, func(n ast.Node) bool {
		kind, _, args := called(n)
		at, ok := flagKinds[kind]
		if !ok || len(args) < at+3 {
			return true
		}
		if name, ok := args[at].(*ast.BasicLit); ok && name.Kind == token.STRING {
			value := " value"
			if strings.HasPrefix(kind, "Bool") {
				value = ""
			}
			fmt.Fprintf(out, "  -%s%s\n", strings.Trim(name.Value, `"`), value)
		}
		return true
	})
}

// called returns the method that n calls, the name of the receiver and the arguments.
func called(n ast.Node) (method, receiver string, args []ast.Expr) {
	call, ok := n.(*ast.CallExpr)
	if !ok {
		return "", "", nil
	}
	if f, ok := call.Fun.(*ast.SelectorExpr); ok {
		if x, ok := f.X.(*ast.Ident); ok {
			return f.Sel.Name, x.Name, call.Args
		}
	}
	return "", "", nil
}

// parseFuncs returns the functions and methods of the package in dir, methods as "NAME of TYPE", and all texts.
func parseFuncs(dir string) (funcs map[string]*ast.FuncDecl, texts []string, err error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("%s has no Go files", dir)
	}
	funcs = map[string]*ast.FuncDecl{}
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return nil, nil, err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.ImportSpec:
				return false
			case *ast.FuncDecl:
				name := n.Name.Name
				if n.Recv != nil {
					t := n.Recv.List[0].Type
					if star, ok := t.(*ast.StarExpr); ok {
						t = star.X
					}
					name += " of " + fmt.Sprint(t)
				}
				funcs[name] = n
			case *ast.BasicLit:
				if n.Kind == token.STRING {
					texts = append(texts, n.Value)
				}
			}
			return true
		})
	}
	return funcs, texts, err
}

// TestTerraformFlags compares the flags with the help of the installed Terraform.
func TestTerraformFlags(t *testing.T) {
	if os.Getenv("TERRAFORM") == "" {
		t.Skip("TERRAFORM is not set; it names a Terraform program")
	}
	usage := func(sub string) string {
		out, err := terraform(nil, append(strings.Fields(sub), "-help")...)
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	common := usage("plan") + usage("apply") // the others refer to these two
	for sub, flags := range terraformFlags {
		text := usage(sub)
		if sub == "apply" || sub == "destroy" {
			text = common
		}
		for _, f := range flags {
			if !regexp.MustCompile(`(?m)^\s+` + f + `\b`).MatchString(text) {
				t.Errorf("terraform %s -help does not explain %s", sub, f)
			}
		}
	}
}

// TestQuotedLogLines checks that the log lines which the runbook quotes are written by a program.
func TestQuotedLogLines(t *testing.T) {
	page, _ := runbook(t)
	var sources strings.Builder
	for _, root := range []string{"../../realtime", "../../functions"} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() && strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") {
				sources.WriteString(read(t, path))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	quoted := regexp.MustCompile(`(?:logs? (?:has|have)|line)\s+"([^"]+)"`).FindAllStringSubmatch(page, -1)
	for _, m := range quoted {
		if line := strings.Join(strings.Fields(m[1]), " "); !strings.Contains(sources.String(), line) {
			t.Errorf("the runbook quotes the log line %q, which no program writes", line)
		}
	}
	if len(quoted) < 3 {
		t.Errorf("found only %d quoted log lines", len(quoted))
	}
}
