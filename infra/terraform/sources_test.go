package terraform

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestImageSources builds the client from only the files that Terraform sends to Cloud Build, and checks that they
// contain all Go packages of the image.
func TestImageSources(t *testing.T) {
	if os.Getenv("TERRAFORM") == "" {
		t.Skip("TERRAFORM is not set; it names a Terraform program with the providers or their schemas")
	}
	var sources []string
	if err := json.Unmarshal([]byte(console(t, "jsonencode(local.image_sources)")), &sources); err != nil {
		t.Fatal(err)
	}
	for _, f := range sources {
		if strings.Contains(f, "node_modules") || strings.Contains(f, "_test.go") || strings.Contains(f, ".test.") ||
			strings.HasPrefix(f, "web/dist") {
			t.Errorf("%s is sent, but not needed", f)
		}
	}
	root := t.TempDir()
	for _, f := range sources {
		data, err := os.ReadFile(filepath.Join("..", "..", f))
		if err != nil {
			t.Fatal(err)
		}
		to := filepath.Join(root, f)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d files are sent", len(sources))

	// go list finds every package and every embedded file, without compiling them.
	goTool(t, root, "list", "-deps", "./infra/image", "./realtime/cmd/realtime", "./infra/pipeline/smoke")

	modules, err := filepath.Abs("../../web/node_modules")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(modules); errors.Is(err, fs.ErrNotExist) {
		t.Skip("the client's packages are not installed (npm ci in web)")
	}
	if err := os.Symlink(modules, filepath.Join(root, "web", "node_modules")); err != nil {
		t.Fatal(err)
	}
	build := exec.Command("npm", "run", "--silent", "build")
	build.Dir = filepath.Join(root, "web")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("npm run build: %v\n%s", err, tail(out))
	}
	if _, err := os.Stat(filepath.Join(root, "web", "dist", "index.html")); err != nil {
		t.Error(err)
	}
}

// console returns the value of a Terraform expression, which must be a string.
func console(t *testing.T, expression string) string {
	t.Helper()
	if _, err := apply(); err != nil { // runs init too
		t.Fatal(err)
	}
	out, err := terraform(strings.NewReader(expression+"\n"), "console", "-var", "project=acme-chat")
	if err != nil {
		t.Fatal(err)
	}
	var text string
	if err := json.Unmarshal(out, &text); err != nil {
		t.Fatalf("%v: %s", err, tail(out))
	}
	return text
}
