package main

import (
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// push pushes a new image, and returns its digest.
func push(t *testing.T, tagged string) string {
	t.Helper()
	tag, err := name.NewTag(tagged)
	if err != nil {
		t.Fatal(err)
	}
	img, err := random.Image(10, 1)
	if err == nil {
		err = remote.Write(tag, img)
	}
	if err != nil {
		t.Fatal(err)
	}
	digest, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return digest.String()
}

func TestPin(t *testing.T) {
	srv := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer srv.Close()
	host := strings.TrimPrefix(srv.URL, "http://")
	root := t.TempDir()
	write := func(file, text string) {
		path := filepath.Join(root, file)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(strings.ReplaceAll(text, "HOST", host)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	read := func(file string) string {
		text, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	write("cloudbuild.yaml",
		"steps:\n  - id: terraform\n    name: HOST/terraform:1.11\n  volumes:\n    - name: toolchain\n")
	write("infra/pipeline/image.yaml", "steps:\n  - name: HOST/go:1.26\n  - id: two\n    name: HOST/terraform:1.11\n")
	write("infra/terraform/image.tf",
		"locals {\n  node_builder = \"HOST/node:22\"\n  go_builder   = \"HOST/go:1.26\"\n}\n")

	before := read("infra/pipeline/image.yaml")
	digests := map[string]string{}
	for _, image := range []string{"go:1.26", "terraform:1.11"} {
		digests[image] = push(t, host+"/"+image)
	}
	if err := run(t.Context(), root, io.Discard); err == nil || !strings.Contains(err.Error(), "/node:22") {
		t.Errorf("an image that does not exist: error %v", err)
	}
	if read("infra/pipeline/image.yaml") != before {
		t.Error("a file was changed although an image was not found")
	}

	digests["node:22"] = push(t, host+"/node:22")
	for range 2 { // the second time, the images have moved
		if err := run(t.Context(), root, io.Discard); err != nil {
			t.Fatal(err)
		}
		pinned := func(image string) string { return host + "/" + image + "@" + digests[image] }
		for file, want := range map[string]string{
			"cloudbuild.yaml": "    name: " + pinned("terraform:1.11") + "\n  volumes:\n    - name: toolchain\n",
			"infra/pipeline/image.yaml": "  - name: " + pinned("go:1.26") + "\n  - id: two\n    name: " +
				pinned("terraform:1.11") + "\n",
			"infra/terraform/image.tf": fmt.Sprintf("  node_builder = %q\n  go_builder   = %q\n", pinned("node:22"),
				pinned("go:1.26")),
		} {
			if !strings.Contains(read(file), want) {
				t.Errorf("%s:\n%s\nwant\n%s", file, read(file), want)
			}
		}
		for image := range digests {
			digests[image] = push(t, host+"/"+image)
		}
	}
}

// TestImages checks that the command finds the images in the repository's own files.
func TestImages(t *testing.T) {
	paths, err := files("../../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		want := regexp.MustCompile(`(?m)^ +(?:- )?name: \S+:\S+$|^ +\w+_builder += "`).FindAll(text, -1)
		if found := len(image.FindAll(text, -1)); found == 0 || found != len(want) {
			t.Errorf("%s: found %d of %d images", path, found, len(want))
		}
	}
}
