package pipeline

import (
	"cmp"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// machine is a copy of the steps with scripts in place of the programs, which record how they are called.
type machine struct {
	t       *testing.T
	root    string // root of a repository that contains only the steps
	outputs map[string]string
	traffic string // of realtime: percent,revision per line
	newest  string // revision of realtime

	promoted string // time of the commit that was promoted last
	pushed   string // digest of the image in the registry

	fails string // a program and its first arguments; calls with this prefix fail
	code  string // the exit code of these calls; 1 if empty
}

const (
	digest = "1111111111111111111111111111111111111111111111111111111111111111"
	image  = "europe-west1-docker.pkg.dev/acme-chat/chat/realtime@sha256:" + digest
)

func newMachine(t *testing.T) *machine {
	m := &machine{t: t, root: t.TempDir(), traffic: "100,chat-00001-old", newest: "chat-00002-new",
		pushed: "sha256:" + digest}
	m.outputs = map[string]string{
		"image_repository": "europe-west1-docker.pkg.dev/acme-chat/chat/realtime",
		"region":           "europe-west1",
		"hosted_url":       "https://chat.example.org",
		"next_url":         "https://next---chat.run.app",
	}
	for _, dir := range []string{"infra/terraform", "web", "bin"} {
		if err := os.MkdirAll(filepath.Join(m.root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.CopyFS(filepath.Join(m.root, "infra/pipeline/steps"), os.DirFS("steps")); err != nil {
		t.Fatal(err)
	}
	runTests, err := os.ReadFile("run-tests")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(m.root, "infra/pipeline/run-tests"), runTests, 0o755); err != nil {
		t.Fatal(err)
	}
	lock := filepath.Join(m.root, "infra/terraform/.terraform.lock.hcl")
	if err := os.WriteFile(lock, []byte("provider \"x\" {}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return m
}

// step runs one step. It returns its output, its exit code, and the calls that it made.
func (m *machine) step(name string, env ...string) (out string, code int, calls []string) {
	m.t.Helper()
	log := filepath.Join(m.t.TempDir(), "calls")
	for _, program := range []string{"terraform", "go", "npm", "gcloud", "infra/test"} {
		text := "#!/bin/bash\necho \"" + filepath.Base(program) + " $*\" >>'" + log + "'\n" +
			"case \"" + filepath.Base(program) + " $*\" in '" + orNothing(m.fails) + "'*) exit " +
			cmp.Or(m.code, "1") + ";; esac\n"
		if program == "terraform" {
			text += "test \"$TF_DATA_DIR\" = /data || exit 9\n"
			for output, value := range m.outputs {
				text += "case \"$*\" in *'output -raw " + output + "') echo -n '" + value + "'; exit 0;; esac\n"
			}
			text += "case \"$*\" in *'output -raw'*) echo 'no output' >&2; exit 1;; esac\n"
		}
		if program == "gcloud" {
			text += "case \"$*\" in 'storage cat '*) test -n '" + m.promoted + "' && echo '" + m.promoted + "'; exit;;" +
				" 'storage cp '*) cat >'" + filepath.Join(m.root, "promoted") + "';; *' list '*) echo '" + m.traffic +
				"';; *' images describe '*) echo '" + m.pushed + "';; *' describe '*) echo '" + m.newest + "';; esac\n"
		}
		place := filepath.Join(m.root, "bin", program)
		if strings.Contains(program, "/") {
			place = filepath.Join(m.root, program)
		}
		if err := os.WriteFile(place, []byte(text), 0o755); err != nil {
			m.t.Fatal(err)
		}
	}
	cmd := exec.Command(filepath.Join(m.root, "infra/pipeline/steps", name))
	cmd.Env = append([]string{
		"PATH=" + filepath.Join(m.root, "bin") + ":/usr/bin:/bin", "PROJECT=acme-chat",
		"STATE_BUCKET=acme-chat-terraform", "STATE_PREFIX=phoenix-chat", "BUILD=b1", "COMMITTED=1700000200",
		"DEPLOY_DATA=/data", "IMAGE_FILE=" + filepath.Join(m.root, "image.txt"),
		"REVISION_FILE=" + filepath.Join(m.root, "revision.txt"),
	}, env...)
	text, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		m.t.Fatal(err)
	}
	recorded, err := os.ReadFile(log)
	if err == nil {
		calls = strings.Split(strings.TrimSpace(string(recorded)), "\n")
	}
	return string(text), cmd.ProcessState.ExitCode(), calls
}

func orNothing(s string) string {
	if s == "" {
		return "no call fails"
	}
	return s
}

// passes runs a step that must succeed.
func (m *machine) passes(name string) (out string, calls []string) {
	m.t.Helper()
	out, code, calls := m.step(name)
	if code != 0 {
		m.t.Fatalf("%s ended with %d: %s\n%s", name, code, out, strings.Join(calls, "\n"))
	}
	return out, calls
}

func TestCheckStep(t *testing.T) {
	m := newMachine(t)
	out, calls := m.passes("check")
	if !strings.Contains(out, "Deploying to acme-chat") ||
		!slices.Contains(calls, "terraform -chdir=infra/terraform init -input=false -reconfigure -lockfile=readonly") {
		t.Errorf("%s\n%s", out, strings.Join(calls, "\n"))
	}
	backend, err := os.ReadFile(filepath.Join(m.root, "infra/terraform/backend_override.tf"))
	if err != nil || !strings.Contains(string(backend), `bucket = "acme-chat-terraform"`) ||
		!strings.Contains(string(backend), `prefix = "phoenix-chat"`) {
		t.Errorf("the backend is %s (%v)", backend, err)
	}

	for name, c := range map[string]struct {
		env  []string
		want []string
	}{
		"no state": {[]string{"STATE_BUCKET="}, []string{"_STATE_BUCKET is not set", "Remote state"}},
		"everything": {
			[]string{"STATE_BUCKET=gs://x", "PROJECT=Acme", "STATE_PREFIX="},
			[]string{`"gs://x" is not a bucket name`, `"Acme" is not a project id`, `_STATE_PREFIX ""`},
		},
		"no commit": {
			[]string{"COMMITTED=", "ROLLBACK=maybe"},
			[]string{"_COMMITTED=$(git log -1 --format=%ct)", `_ROLLBACK "maybe" is neither yes nor no`},
		},
		"no substitution": {[]string{"PROJECT=$PROJECT_ID"}, []string{"is not a project id"}},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			out, code, calls := m.step("check", c.env...)
			if code == 0 || len(calls) > 0 {
				t.Errorf("the step continued: %s", strings.Join(calls, "\n"))
			}
			for _, want := range c.want {
				if !strings.Contains(out, want) {
					t.Errorf("the output lacks %q:\n%s", want, out)
				}
			}
		})
	}

	m = newMachine(t)
	if err := os.Remove(filepath.Join(m.root, "infra/terraform/.terraform.lock.hcl")); err != nil {
		t.Fatal(err)
	}
	if out, code, calls := m.step("check"); code == 0 || len(calls) > 0 ||
		!strings.Contains(out, "terraform -chdir=infra/terraform providers lock -platform=linux_amd64") {
		t.Errorf("without a lock file, it ended with %d: %s", code, out)
	}

	for _, c := range []struct {
		file, text string
		refused    bool
	}{
		{"cloudbuild.yaml",
			"steps:\n  - id: go\n    name: golang:1.26@sha256:" + digest + "\n    - name: toolchain\n", false},
		{"cloudbuild.yaml", "steps:\n  - name: golang:1.26\n", true},
		{"infra/terraform/image.tf", "  go_builder   = \"golang:1.26@sha256:" + digest + "\"\n", false},
		{"infra/terraform/image.tf", "  go_builder   = \"golang:1.26\"\n", true},
		{"infra/terraform/image.tf", "  node_builder = \"node:22\"\n", true},
		{"infra/pipeline/image.yaml", "  - id: go\n    name: golang:1.26\n", true},
		{"infra/pipeline/test.yaml", "  - id: go\n    name: gcr.io/cloudsdktool/google-cloud-cli:emulators\n", true},
	} {
		m := newMachine(t)
		if err := os.WriteFile(filepath.Join(m.root, c.file), []byte(c.text), 0o644); err != nil {
			t.Fatal(err)
		}
		out, code, _ := m.step("check")
		if c.refused != (code != 0) || c.refused && !strings.Contains(out, "go run ./infra/pipeline/pin") {
			t.Errorf("%s in %s ended with %d: %s", c.text, c.file, code, out)
		}
	}

	m = newMachine(t)
	m.fails = "terraform -chdir=infra/terraform init"
	out, code, _ := m.step("check")
	if code == 0 || !strings.Contains(out, "cannot use the state in gs://acme-chat-terraform") {
		t.Errorf("an unreachable state: %s", out)
	}
	m.fails = ""
	delete(m.outputs, "image_repository")
	out, code, _ = m.step("check")
	if code == 0 || !strings.Contains(out, "Run terraform apply by hand for the first deploy") {
		t.Errorf("an empty state: %s", out)
	}
}

// submitBuild is the call that starts a build as an account.
func submitBuild(name, account string) string {
	return "gcloud builds submit . --project=acme-chat --config=infra/pipeline/" + name + ".yaml" +
		" --service-account=projects/acme-chat/serviceAccounts/" + account + "@acme-chat.iam.gserviceaccount.com" +
		" --gcs-source-staging-dir=gs://acme-chat-chat-source/pipeline --suppress-logs"
}

// TestTestStep checks that the tests run in a build of their own, whose account cannot deploy.
func TestTestStep(t *testing.T) {
	m := newMachine(t)
	if _, calls := m.passes("test"); !slices.Equal(calls, []string{submitBuild("test", "chat-test")}) {
		t.Errorf("calls:\n%s", strings.Join(calls, "\n"))
	}
	m.fails = "gcloud builds submit"
	if _, code, _ := m.step("test"); code == 0 {
		t.Error("the step passes although the tests fail")
	}
}

func TestRunTests(t *testing.T) {
	m := newMachine(t)
	_, calls := m.passes("../run-tests")
	for i, want := range []string{"test ", "go run golang.org/x/vuln/cmd/govulncheck@v",
		"npm audit --omit=dev --audit-level=high"} {
		if i >= len(calls) || !strings.HasPrefix(calls[i], want) {
			t.Errorf("calls:\n%s\nwant %s as number %d", strings.Join(calls, "\n"), want, i)
		}
		m.fails = want
		if _, code, _ := m.step("../run-tests"); code == 0 {
			t.Errorf("the tests pass although this fails: %s", want)
		}
	}
}

// TestImageWithoutDigest checks that the step image leaves no name of an image that the registry does not have.
func TestImageWithoutDigest(t *testing.T) {
	for _, pushed := range []string{"", "latest", "sha256:1111"} {
		m := newMachine(t)
		m.pushed = pushed
		out, code, _ := m.step("image")
		if _, err := os.Stat(filepath.Join(m.root, "image.txt")); code == 0 || err == nil ||
			!strings.Contains(out, "The registry has no digest of "+
				"europe-west1-docker.pkg.dev/acme-chat/chat/realtime:build-b1") {
			t.Errorf("with the digest %q, it ended with %d: %s", pushed, code, out)
		}
	}
}

// TestDeploy runs the steps of a deploy in order.
func TestDeploy(t *testing.T) {
	m := newMachine(t)
	_, calls := m.passes("image")
	push := submitBuild("image", "chat-build") +
		" --substitutions=_IMAGE=europe-west1-docker.pkg.dev/acme-chat/chat/realtime:build-b1"
	if !slices.Contains(calls, push) {
		t.Errorf("image:\n%s", strings.Join(calls, "\n"))
	}

	const apply = "terraform -chdir=infra/terraform apply -auto-approve -input=false -lock-timeout=20m" +
		" -var project=acme-chat -var keep_code=false -var image=" + image
	out, calls := m.passes("apply")
	pinned, applied := slices.Index(calls, updateTraffic("chat-00001-old")), slices.Index(calls, apply)
	if pinned < 0 || applied < pinned || !strings.Contains(out, "chat-00001-old keeps the traffic") {
		t.Errorf("apply: %s\n%s", out, strings.Join(calls, "\n"))
	}
	_, calls = m.passes("smoke")
	const smoke = "gcloud run jobs execute prober --project=acme-chat --region=europe-west1 --wait --task-timeout=300s" +
		" --args=-prober,-url=https://chat.example.org,-revision=https://next---chat.run.app,-within=4m"
	if calls[len(calls)-1] != smoke {
		t.Errorf("smoke:\n%s", strings.Join(calls, "\n"))
	}
	m.newest = "chat-00003-other" // made by somebody else, and not tested
	out, calls = m.passes("promote")
	if !slices.Contains(calls, updateTraffic("chat-00002-new")) || slices.Contains(calls, apply) ||
		!strings.Contains(out, "https://chat.example.org runs chat-00002-new with "+image) {
		t.Errorf("promote: %s\n%s", out, strings.Join(calls, "\n"))
	}
}

// updateTraffic is the call that gives a revision all traffic.
func updateTraffic(revision string) string {
	return "gcloud run services update-traffic chat --to-revisions=" + revision + "=100 --project=acme-chat" +
		" --region=europe-west1 --quiet"
}

// TestRollbackStays checks that a deploy keeps the revision to which somebody has rolled back, of which Terraform's
// state does not know.
func TestRollbackStays(t *testing.T) {
	m := newMachine(t)
	m.traffic = "0,chat-00009-bad\n100,chat-00007-good"
	m.newest = "chat-00010-new"
	m.passes("image")
	if out, calls := m.passes("apply"); !slices.Contains(calls, updateTraffic("chat-00007-good")) {
		t.Errorf("%s\n%s", out, strings.Join(calls, "\n"))
	}
}

func TestWithoutAServingRevision(t *testing.T) {
	m := newMachine(t)
	m.traffic = ""
	m.passes("image")
	out, calls := m.passes("apply")
	if !strings.Contains(out, "gets all traffic immediately") ||
		slices.ContainsFunc(calls, func(c string) bool { return strings.Contains(c, "update-traffic") }) {
		t.Errorf("%s\n%s", out, strings.Join(calls, "\n"))
	}

	m.traffic = "50,chat-00001-old\n50,chat-00002-new"
	out, code, calls := m.step("apply")
	if code == 0 || !strings.Contains(out, "gcloud run services update-traffic chat --to-revisions=REVISION=100") ||
		slices.ContainsFunc(calls, func(c string) bool { return strings.Contains(c, " apply ") }) {
		t.Errorf("a split ended with %d: %s\n%s", code, out, strings.Join(calls, "\n"))
	}
	m.fails = "gcloud run services list"
	if out, code, calls := m.step("apply"); code == 0 || strings.Contains(strings.Join(calls, "\n"), " apply ") {
		t.Errorf("without the right to read the traffic, it ended with %d: %s\n%s", code, out, strings.Join(calls, "\n"))
	}
}

// TestOlderCommit checks that an older commit replaces a newer one only in a rollback.
func TestOlderCommit(t *testing.T) {
	m := newMachine(t)
	m.passes("image")
	m.passes("apply")
	m.promoted = "1700000300"
	changes := func(calls []string) bool {
		return slices.ContainsFunc(calls, func(c string) bool {
			return strings.Contains(c, "update-traffic") || strings.Contains(c, " apply ")
		})
	}
	for _, step := range []string{"apply", "promote"} {
		out, code, calls := m.step(step)
		if code == 0 || changes(calls) || !strings.Contains(out, "A newer commit (of 2023-11-14T22:18:20Z) is deployed") ||
			!strings.Contains(out, "_ROLLBACK=yes") {
			t.Errorf("%s ended with %d: %s\n%s", step, code, out, strings.Join(calls, "\n"))
		}
		if out, code, calls := m.step(step, "ROLLBACK=yes"); code != 0 || !changes(calls) {
			t.Errorf("%s of a rollback ended with %d: %s\n%s", step, code, out, strings.Join(calls, "\n"))
		}
	}
	promoted, err := os.ReadFile(filepath.Join(m.root, "promoted"))
	if err != nil || string(promoted) != "1700000200\n" {
		t.Errorf("after the rollback, the newest commit is %q (%v)", promoted, err)
	}
}

// TestOvertaken checks that a run does not promote its revision over a newer one, which a later run has promoted.
func TestOvertaken(t *testing.T) {
	m := newMachine(t)
	m.passes("image")
	m.passes("apply")
	m.traffic = "100,chat-00010-abc"
	out, code, calls := m.step("promote")
	if code == 0 || !strings.Contains(out, "chat-00010-abc serves and is newer than chat-00002-new") ||
		slices.ContainsFunc(calls, func(c string) bool { return strings.Contains(c, "update-traffic") }) {
		t.Errorf("ended with %d: %s\n%s", code, out, strings.Join(calls, "\n"))
	}
}

func TestSmokeFails(t *testing.T) {
	m := newMachine(t)
	m.passes("image")
	m.passes("apply")
	m.fails = "gcloud run jobs execute"
	out, code, _ := m.step("smoke")
	const want = "revision chat-00002-new does not work and gets no traffic; chat-00001-old keeps it"
	if code == 0 || !strings.Contains(out, want) {
		t.Errorf("ended with %d: %s", code, out)
	}
}

// TestUnchanged checks that the last step fails if the plan after a deploy has changes.
func TestUnchanged(t *testing.T) {
	const plan = "terraform -chdir=infra/terraform plan -detailed-exitcode -input=false -lock-timeout=20m" +
		" -var project=acme-chat -var keep_code=false -var image=" + image
	for code, want := range map[string]string{"0": "Nothing is left to change", "1": "the plan failed",
		"2": "still has changes"} {
		m := newMachine(t)
		m.passes("image")
		m.fails, m.code = "terraform -chdir=infra/terraform plan", code
		out, got, calls := m.step("unchanged")
		if (got != 0) != (code != "0") || !strings.Contains(out, want) || calls[len(calls)-1] != plan {
			t.Errorf("the plan ends with %s: the step ends with %d: %s\n%s", code, got, out, strings.Join(calls, "\n"))
		}
	}
}

// TestCloudBuild checks that cloudbuild.yaml runs every step, each after the one before, with the variables that it
// needs.
func TestCloudBuild(t *testing.T) {
	text, err := os.ReadFile("../../cloudbuild.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var order []string
	step := regexp.MustCompile(`(?m)^    waitFor: \[([^\]]*)\]\n    script: infra/pipeline/steps/(\w+)$`)
	for _, m := range step.FindAllStringSubmatch(string(text), -1) {
		if len(order) > 0 && !slices.Contains(strings.Split(m[1], ", "), order[len(order)-1]) {
			t.Errorf("%s does not wait for %s", m[2], order[len(order)-1])
		}
		info, err := os.Stat(filepath.Join("steps", m[2]))
		if err != nil || info.Mode()&0o111 == 0 {
			t.Errorf("steps/%s is missing or not executable (%v)", m[2], err)
		}
		order = append(order, m[2])
	}
	if want := []string{"check", "test", "image", "apply", "smoke", "promote", "unchanged"}; !slices.Equal(order, want) {
		t.Errorf("the steps are %q, want %q", order, want)
	}
	steps, err := filepath.Glob("steps/*")
	if err != nil {
		t.Fatal(err)
	}
	if len(steps) != len(order)+1 { // and env
		t.Errorf("a step is not used: %q", steps)
	}
	for _, variable := range []string{"PROJECT=$PROJECT_ID", "BUILD=$BUILD_ID", "STATE_BUCKET=$_STATE_BUCKET",
		"STATE_PREFIX=$_STATE_PREFIX", "COMMITTED=$_COMMITTED", "ROLLBACK=$_ROLLBACK"} {
		if !strings.Contains(string(text), "\n    - "+variable+"\n") {
			t.Errorf("the steps lack the variable %s", variable)
		}
	}
	for _, m := range regexp.MustCompile(`\$(_\w+)`).FindAllStringSubmatch(string(text), -1) {
		if !strings.Contains(string(text), "\n  "+m[1]+": ") {
			t.Errorf("%s has no default, so Cloud Build would reject the file", m[1])
		}
	}
}
