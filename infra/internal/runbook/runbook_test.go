package runbook_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/phoenixchat/phoenixchat/infra/internal/runbook"
)

const exports = "```sh\nexport P=acme-chat R=europe-west1\n```\n"

// TestRead reads pages that have one mistake each.
func TestRead(t *testing.T) {
	block := func(text string) string { return exports + "## A\n\n```sh\n" + text + "\n```\n" }
	for name, c := range map[string]struct {
		page string
		want string // a part of the only problem; "": none
	}{
		"exported":                  {block(`gcloud x "$P" "gs://$P-a" "${R}_b"`), ""},
		"unset":                     {block(`gcloud x "$Q"`), "variable Q is not set"},
		"unset inside a command":    {block(`echo "$(gcloud x "$Q")"`), "variable Q is not set"},
		"unset in a span":           {exports + "Run `gcloud x \"$Q\"` now.", "variable Q is not set"},
		"unset in a longer span":    {exports + "Run `gcloud x\n\"$Q\"` now.", "variable Q is not set"},
		"unset in a table":          {exports + "| `gcloud x \"$Q\"` | b |", "variable Q is not set"},
		"set in the block":          {block("Q=1\ngcloud x \"$Q\""), ""},
		"set in the section":        {block("export Q=1") + "```sh\ngcloud x \"$Q\"\n```\n", ""},
		"set in another section":    {block("export Q=1") + "## B\n```sh\ngcloud x \"$Q\"\n```\n", "variable Q is not set"},
		"only the first is global":  {block("export Q=1") + "### B\n```sh\ngcloud x \"$Q\"\n```\n", ""},
		"set too late":              {block("gcloud x \"$Q\"\nQ=1"), "variable Q is not set"},
		"read sets":                 {block("gcloud x | while read -r a b; do gcloud y \"$a\" \"$b\"; done"), ""},
		"for sets":                  {block("for a in 1 2; do gcloud y \"$a\"; done"), ""},
		"not quoted":                {block("gcloud x $P"), "quote the variable P"},
		"not complete":              {block("gcloud x --a=…"), "not complete"},
		"a span that is incomplete": {exports + "Run `gcloud x …` now.", "not complete"},
		"a comment after a command": {block("Q=1   # the uid"), "zsh does not know comments"},
		"a comment on its own line": {block("gcloud x\n# it's last\ngcloud y"), "zsh does not know comments"},
		"a hash that is no comment": {block("gcloud x a#b '#c' \"${P}#d\""), ""},
		"a modifier of zsh":         {block(`gcloud x "$P:ref"`), "write ${P}"},
		"a subscript of zsh":        {block(`gcloud x "$P[0]"`), "write ${P}"},
		"a colon after braces":      {block(`gcloud x "${P}:ref" "$P:0" "$P: a"`), ""},
		"an index without quotes":   {block("gcloud x a.b[0]"), "quote it"},
		"an index with quotes":      {block("gcloud x 'a.b[0]' \"$P*\""), ""},
		"not bash":                  {block("gcloud x ("), "bash cannot read this"},
		"only a name":               {exports + "The program `gcloud` and `go.mod`, and `P`.", ""},
	} {
		_, problems := runbook.Read(c.page)
		if c.want == "" && len(problems) > 0 || c.want != "" &&
			(len(problems) != 1 || !strings.Contains(problems[0].Text, c.want)) {
			t.Errorf("%s: problems %v, want %q", name, problems, c.want)
		}
	}
}

func TestReadCommands(t *testing.T) {
	commands, problems := runbook.Read(exports + "\nA `go run\n./x -a`.\n\n## A\n```sh\n" +
		"B=$(date)\n\ncurl \"$(terraform output -raw u)/health\"\n" +
		"gcloud a 'b c' --project=\"$P\" |\n" +
		"  while read -r x; do gcloud c \"$x$B\"; done\n```\n")
	want := "[5: go run ./x -a, 10: date, 12: terraform output -raw u, 12: curl https://chat.example.org/health, " +
		"13: gcloud a b c --project=acme-chat, 14: read -r x, 14: gcloud c item20260102-030405]"
	var got []string
	for _, c := range commands {
		got = append(got, fmt.Sprintf("%d: %s", c.Line, c))
	}
	if s := "[" + strings.Join(got, ", ") + "]"; s != want || len(problems) > 0 {
		t.Errorf("commands %s\nwant     %s\nproblems %v", s, want, problems)
	}
}

var rules = runbook.Rules{
	Routes: []string{"/health/ready"},
	Help: func(pkg string) (string, error) {
		if pkg != "./infra/restore" {
			return "", errors.New("there is no such package")
		}
		return "usage: restore count|drill\n  -project project\n    \tthe project\n  -erase\n    \terase\n  -at moment\n", nil
	},
	Gcloud: runbook.Tool{Version: "1", Commands: map[string]runbook.Usage{
		"run services": {},
		"run services list": {Flags: map[string]bool{"--project": true, "--region": true, "--async": false,
			"--global": false}, Regional: true},
		"firestore export": {Flags: map[string]bool{"--project": true, "--database": true},
			Required: []string{"--database"}, Least: 1, Most: 1},
		"projects describe": {Flags: map[string]bool{}, Least: 1, Most: 1},
	}},
	Terraform: runbook.Terraform{
		Chdir: "infra/terraform",
		Tool: runbook.Tool{Commands: map[string]runbook.Usage{
			"apply":        {Flags: map[string]bool{"-var": true, "-replace": true}},
			"destroy":      {Flags: map[string]bool{"-var": true}},
			"import":       {Flags: map[string]bool{"-var": true}},
			"output":       {Flags: map[string]bool{"-raw": true}},
			"force-unlock": {},
			"state list":   {},
		}},
		Variables: map[string]bool{"project": true, "protect": false},
		Outputs:   []string{"hosted_url"},
		Resources: map[string]runbook.Resource{
			"random_id.web":  {},
			"key.web":        {Named: true, CreateFirst: true},
			"key.other":      {Named: true, NameReserved: true},
			"redis.this":     {Named: true, Protected: true},
			"service.others": {Named: true},
		},
	},
}

// TestCheck checks commands that have one mistake each.
func TestCheck(t *testing.T) {
	for _, c := range []struct{ command, want string }{
		{"terraform -chdir=infra/terraform apply -var project=p", ""},
		{"terraform -chdir=infra/terraform apply -var=project=p", ""},
		{"terraform apply -var project=p", "it needs -chdir"},
		{"terraform -chdir=infra apply -var project=p", "it needs -chdir"},
		{"terraform -chdir=infra/terraform aply -var project=p", "unknown subcommand"},
		{"terraform -chdir=infra/terraform apply", "needs -var project"},
		{"terraform -chdir=infra/terraform apply -var project=", "not a variable with a value"},
		{"terraform -chdir=infra/terraform apply -var project=p -var protection=false", "-var protection=false is not"},
		{"terraform -chdir=infra/terraform apply -var project=p -replaces=random_id.web", "unknown flag -replaces"},
		{"terraform -chdir=infra/terraform apply -var project=p -replace=random_id.web", ""},
		{"terraform -chdir=infra/terraform apply -var project=p -replace=random_id.api", "not in the configuration"},
		{"terraform -chdir=infra/terraform apply -var project=p -replace=key.web", "is not free"},
		{"terraform -chdir=infra/terraform apply -var project=p -replace=key.other", "is not free"},
		{"terraform -chdir=infra/terraform apply -var project=p -replace=service.others[0]", ""},
		{"terraform -chdir=infra/terraform apply -var project=p -replace=redis.this", "needs -var protect=false"},
		{"terraform -chdir=infra/terraform apply -var project=p -var protect=false -replace=redis.this", ""},
		{"terraform -chdir=infra/terraform destroy -var project=p", "needs -var protect=false"},
		{"terraform -chdir=infra/terraform import -var project=p redis.this id", ""},
		{"terraform -chdir=infra/terraform import redis.this id", "needs -var project"},
		{"terraform -chdir=infra/terraform import -var project=p redis.that id", "not in the configuration"},
		{"terraform -chdir=infra/terraform import -var project=p redis.this", "1 arguments, want 2"},
		{"terraform -chdir=infra/terraform state list", ""},
		{"terraform -chdir=infra/terraform state lists", "unknown subcommand state lists"},
		{"terraform -chdir=infra/terraform force-unlock", "0 arguments, want 1"},
		{"terraform -chdir=infra/terraform output -raw hosted_url", ""},
		{"terraform -chdir=infra/terraform output -raw url", "not an output"},
		{"gcloud run services list --region=r --project=p", ""},
		{"gcloud run services show --region=r --project=p", "unknown command"},
		{"gcloud run services list --region=r --project=p --limits=3", "unknown flag --limits"},
		{"gcloud run services list --region=r", "needs --project"},
		{"gcloud run services list --project=p", "needs --region"},
		{"gcloud run services list --global --project=p", ""},
		{"gcloud run services list --region=r --project=", "write --project=VALUE"},
		{"gcloud run services list --region=r --project=p --async=yes", "has no value"},
		{"gcloud run services list --region=r --project=p chat", "1 arguments, want 0"},
		{"gcloud firestore export gs://b --database=d --project=p", ""},
		{"gcloud firestore export gs://b --project=p", "needs --database"},
		{"gcloud firestore export --database=d --project=p", "0 arguments, want 1"},
		{"gcloud projects describe p", ""},
		{"go run ./infra/restore drill -project p", ""},
		{"go run ./infra/restore drill -project p -erase -at now", ""},
		{"go run ./infra/restored drill -project p", "no such package"},
		{"go run ./infra/restore destroy -project p", "unknown argument destroy"},
		{"go run ./infra/restore drill", "needs -project"},
		{"go run ./infra/restore drill -project p -force", "unknown flag -force"},
		{"go run ./infra/restore drill -project -erase", "-project has no value"},
		{"go test ./infra/restore", "only go run"},
		{"curl -i https://chat.example.org/health/ready", ""},
		{"curl -i https://chat.example.org/healthz", "does not serve /healthz"},
		{"curl --insecure https://chat.example.org/health/ready", "unknown argument --insecure"},
		{"curl -i", "give one URL"},
		{"kubectl get pods", "program kubectl is not known"},
		{"printf x", ""},
	} {
		problems := rules.Check(runbook.Command{Line: 7, Words: strings.Fields(c.command)})
		if c.want == "" && len(problems) > 0 || c.want != "" &&
			(len(problems) != 1 || !strings.Contains(problems[0].Text, c.want) || problems[0].Line != 7) {
			t.Errorf("%s\n  problems %v, want %q", c.command, problems, c.want)
		}
	}
}

// TestParseGcloud lets the installed gcloud parse commands.
func TestParseGcloud(t *testing.T) {
	version, parsed, err := runbook.ParseGcloud([][]string{
		{"run", "services", "update", "chat", "--ingress=internal", "--region=r", "--project=acme-chat"},
		{"run", "services", "update", "chat", "--ingres-all"},
		{"run", "services", "modernize", "chat"},
		{"firestore", "databases", "delete", "--database=d", "--quiet"},
		{"projects", "describe"},
		{"iam", "service-accounts", "delete", "nobody"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if version == "" {
		t.Skip("gcloud is not installed")
	}
	for i, want := range []string{"", "unrecognized arguments", "Invalid choice", "", "Must be specified", "Bad value"} {
		if p := parsed[i]; want == "" && p.Error != "" || want != "" && !strings.Contains(p.Error, want) {
			t.Errorf("command %d: error %q, want %q", i, p.Error, want)
		}
	}
	u := parsed[0].Usage
	if parsed[0].Name != "run services update" || !u.Regional || !u.Flags["--ingress"] || u.Most != 1 {
		t.Errorf("run services update: %+v", parsed[0])
	}
	u = parsed[3].Usage
	quiet, ok := u.Flags["--quiet"]
	if fmt.Sprint(u.Required) != "[--database]" || quiet || !ok || u.Regional || u.Most != 0 {
		t.Errorf("firestore databases delete: %+v", u)
	}
}
