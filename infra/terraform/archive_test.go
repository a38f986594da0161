package terraform

import (
	"archive/zip"
	"bytes"
	"cmp"
	"context"
	"fmt"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"text/template"
	"time"

	"github.com/phoenixchat/phoenixchat/infra/internal/freeport"
)

// TestFunctionsArchive unpacks the archive that the functions are built from and builds it like Google's buildpack
// for Go functions (GoogleCloudPlatform/buildpacks, cmd/go/functions_framework): it unpacks the sources into a
// subfolder, generates a package main in a folder of their module, and runs go mod tidy and go build.
func TestFunctionsArchive(t *testing.T) {
	s := applied(t)
	dir := filepath.Join(t.TempDir(), "serverless_function_source_code")
	unpack(t, pack(t, s), dir)

	packages := map[string]bool{}
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		packages[f.Name.Name] = true
	}
	if len(packages) != 1 || packages["main"] {
		t.Fatalf("the archive's root has the packages %v; Google's build requires exactly one, not main", packages)
	}
	module := strings.TrimSpace(string(goTool(t, dir, "list", "-m")))
	if first, _, _ := strings.Cut(module, "/"); !strings.Contains(first, ".") {
		t.Errorf("module %q: Google's build requires a dot in the first element", module)
	}

	app := filepath.Join(dir, "functions.local", "app")
	if err := os.MkdirAll(app, 0o755); err != nil {
		t.Fatal(err)
	}
	var main bytes.Buffer
	if err := generatedMain.Execute(&main, module); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(app, "main.go"), main.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	goTool(t, dir, "mod", "tidy")
	binary := filepath.Join(t.TempDir(), "main")
	goTool(t, dir, "build", "-o", binary, "./functions.local/app")
	info, err := os.Stat(binary)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("the functions' program has a size of %d MiB", info.Size()>>20)
	push := text(s.one(t, "google_pubsub_subscription.persist"), "push_config", 0, "push_endpoint")
	_, push, ok := strings.Cut(push, "/projects/")
	if !ok {
		t.Fatalf("the push endpoint %q does not end with a topic", push)
	}
	for _, f := range s.of("google_cloudfunctions2_function") {
		env, _ := at(f.Values, "service_config", 0, "environment_variables").(map[string]any)
		servesTarget(t, binary, text(f, "build_config", 0, "entry_point"), "/projects/"+push, env)
	}
}

// generatedMain is a short version of the program that Google's build generates. It imports the package in the root,
// which registers the functions, and serves the one that FUNCTION_TARGET names.
var generatedMain = template.Must(template.New("").Parse(`package main

import (
	"log"
	"os"

	"github.com/GoogleCloudPlatform/functions-framework-go/funcframework"
	_ "{{.}}"
)

func main() {
	if err := funcframework.Start(os.Getenv("PORT")); err != nil {
		log.Fatalf("Function failed to start: %v\n", err)
	}
}
`))

// pack creates the archive that Terraform's archive provider would create from the same sources.
func pack(t *testing.T, s state) []byte {
	t.Helper()
	sources, _ := at(s.one(t, "module.archive.data.archive_file.this").Values, "source").([]any)
	if len(sources) < 30 {
		t.Fatalf("the archive has only %d files", len(sources))
	}
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	for _, source := range sources {
		name, _ := at(source, "filename").(string)
		content, _ := at(source, "content").(string)
		inRoot := !strings.Contains(name, "/")
		if strings.HasSuffix(name, "_test.go") || strings.Contains(name, "testdata") ||
			inRoot && name != "function.go" && name != "go.mod" && name != "go.sum" {
			t.Errorf("the archive contains %s", name)
		}
		f, err := w.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(f, content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	t.Logf("the archive has %d files, %d KiB", len(sources), buf.Len()>>10)
	return buf.Bytes()
}

// unpack writes the files of a zip to dir.
func unpack(t *testing.T, archive []byte, dir string) {
	t.Helper()
	r, err := zip.NewReader(bytes.NewReader(archive), int64(len(archive)))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(dir, r); err != nil {
		t.Fatal(err)
	}
}

// goTool runs the go command in dir, first with only the module cache, then with the network.
func goTool(t *testing.T, dir string, args ...string) []byte {
	t.Helper()
	var out []byte
	var err error
	for _, proxy := range []string{"GOPROXY=off", ""} {
		cmd := exec.Command("go", args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off", "GOTOOLCHAIN=local")
		if proxy != "" {
			cmd.Env = append(cmd.Env, proxy)
		}
		if out, err = cmd.CombinedOutput(); err == nil {
			return out
		}
	}
	t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, tail(out))
	return nil
}

// servesTarget starts the program as Google would for one function. Without settings, it must end and log which ones
// are missing. With those that Terraform sets, it must answer. If the function is not registered, the program ends.
func servesTarget(t *testing.T, binary, target, push string, settings map[string]any) {
	t.Helper()
	port, err := freeport.Find()
	if err != nil {
		t.Fatal(err)
	}
	env := []string{"FUNCTION_TARGET=" + target, "PORT=" + port, "K_SERVICE=" + target}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary)
	cmd.Env = env
	out, err := cmd.CombinedOutput()
	if err == nil || ctx.Err() != nil || !bytes.Contains(out, []byte("PROJECT_ID is not set")) {
		t.Errorf("without settings, FUNCTION_TARGET=%s starts, or does not log what is missing: %v\n%s", target, err, out)
	}

	cmd = exec.Command(binary)
	cmd.Env = append(env, "GOOGLE_APPLICATION_CREDENTIALS="+madeUpAccount(t))
	for name, value := range settings {
		cmd.Env = append(cmd.Env, fmt.Sprintf("%s=%v", name, value))
	}
	path, body := "/", ""
	if target == "persist" || target == "notify" {
		path, body = push, "{}"
	}
	status, answer := start(t, cmd).request(t, "http://127.0.0.1:"+port+path, "", body)
	want := map[string]int{"signup": 405, "persist": 400, "notify": 400, "admin": 404}[target]
	if status != cmp.Or(want, 401) {
		t.Errorf("with its settings, FUNCTION_TARGET=%s answers %d, want %d: %s", target, status, cmp.Or(want, 401), answer)
	}
}
