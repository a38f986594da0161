package terraform

import (
	"encoding/json"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
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
	rules.Help = helpOf(t, commands)
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

// helpOf builds the Go programs of the commands and returns a function that prints their help.
func helpOf(t *testing.T, commands []book.Command) func(string) (string, error) {
	t.Helper()
	dir := t.TempDir()
	args := []string{"build", "-o", dir + "/"}
	for _, c := range commands {
		if len(c.Words) > 2 && c.Words[0] == "go" && c.Words[1] == "run" && !slices.Contains(args, c.Words[2]) {
			args = append(args, c.Words[2])
		}
	}
	cmd := exec.Command("go", args...)
	cmd.Dir = "../.."
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, tail(out))
	}
	printed := map[string]string{}
	return func(pkg string) (string, error) {
		if help, ok := printed[pkg]; ok {
			return help, nil
		}
		out, err := exec.Command(filepath.Join(dir, filepath.Base(pkg)), "-help").CombinedOutput()
		if err != nil {
			return "", fmt.Errorf("%s -help: %w\n%s", pkg, err, tail(out))
		}
		printed[pkg] = string(out)
		return printed[pkg], nil
	}
}

// TestTerraformFlags compares the flags with the help of the installed Terraform.
func TestTerraformFlags(t *testing.T) {
	if os.Getenv("TERRAFORM") == "" {
		t.Skip("TERRAFORM is not set; it names a Terraform program")
	}
	help := func(sub string) string {
		out, err := terraform(nil, append(strings.Fields(sub), "-help")...)
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	common := help("plan") + help("apply") // the others refer to these two
	for sub, flags := range terraformFlags {
		text := help(sub)
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
