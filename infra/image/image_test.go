package main

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// clientFolder returns the folder of the built client, or of a placeholder page if the client is not built. It
// reports which of the two it is.
func clientFolder(t *testing.T) (string, bool) {
	t.Helper()
	real := filepath.Join("..", "..", "web", "dist")
	if _, err := os.Stat(filepath.Join(real, "index.html")); err == nil {
		return real, true
	}
	dir := t.TempDir()
	for name, text := range map[string]string{
		"index.html": `<!doctype html><title>Chat</title>` +
			`<script type="module" src="/assets/index-1a2b3c.js"></script>`,
		"assets/index-1.js": "export {}\n",
		".sources":          "a stamp\n",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir, false
}

// buildImage runs the command and returns its last line and the image in the layout that it wrote.
func buildImage(t *testing.T, client string, args ...string) (string, v1.Image) {
	t.Helper()
	dir := t.TempDir()
	var out bytes.Buffer
	if err := run(t.Context(), append([]string{"-client", client, "-layout", dir}, args...), &out); err != nil {
		t.Fatal(err)
	}
	t.Log(strings.TrimSpace(out.String()))
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil || len(manifest.Manifests) != 1 {
		t.Fatalf("the layout has %v, %v; want one image", manifest, err)
	}
	img, err := index.Image(manifest.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	return lines[len(lines)-1], img
}

// TestImage builds the image without a registry, checks and unpacks its contents, and starts the program from there
// as Cloud Run would.
func TestImage(t *testing.T) {
	client, real := clientFolder(t)
	digest, img := buildImage(t, client)
	if got, err := img.Digest(); err != nil || got.String() != digest {
		t.Errorf("the command printed %s, but the layout has %s (%v)", digest, got, err)
	}
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if c := config.Config; config.OS != "linux" || config.Architecture != "amd64" || c.User != "65532:65532" ||
		!slices.Equal(c.Entrypoint, []string{"/realtime"}) || len(c.Cmd) != 0 {
		t.Errorf("config: %+v", config)
	}
	if !config.Created.Equal(time.Unix(0, 0)) {
		t.Errorf("created %s, want the Unix epoch, so that the digest does not change", config.Created)
	}

	root := t.TempDir()
	names := unpack(t, img, root)
	for _, n := range names {
		if strings.HasPrefix(filepath.Base(n), ".") {
			t.Errorf("the image has %s", n)
		}
	}
	for _, want := range []string{"realtime", "prober", "client/index.html", "etc/passwd",
		"etc/ssl/certs/ca-certificates.crt"} {
		if !slices.Contains(names, want) {
			t.Errorf("the image has no %s", want)
		}
	}
	checkRoots(t, filepath.Join(root, rootsFile))

	page := startImage(t, root, config.Config)
	index, err := os.ReadFile(filepath.Join(client, "index.html"))
	if err != nil {
		t.Fatal(err)
	}
	if !real {
		t.Log("the client is not built; the test uses a placeholder page")
	}
	if !strings.Contains(string(index), "<title>") || !strings.Contains(page, "<title>") {
		t.Errorf("the image serves %.200q", page)
	}
	t.Run("two builds, one digest", func(t *testing.T) { buildAgain(t, client, digest) })
}

// buildAgain builds the same sources from another folder and at another time. The digest must be first.
func buildAgain(t *testing.T, client, first string) {
	// The same client with other modification times and the stamp of another build.
	again := t.TempDir()
	if err := os.CopyFS(again, os.DirFS(client)); err != nil {
		t.Fatal(err)
	}
	long := time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)
	err := filepath.WalkDir(again, func(path string, _ fs.DirEntry, err error) error {
		return errors.Join(err, os.Chtimes(path, long, long))
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(again, ".sources"), []byte("another stamp\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", t.TempDir())
	t.Setenv("GOFLAGS", "-v")
	file := filepath.Join(t.TempDir(), "image.tar")
	second, _ := buildImage(t, again, "-tarball", file)
	if first != second {
		t.Errorf("two builds gave %s and %s", first, second)
	}
	img, err := tarball.ImageFromPath(file, nil)
	if err != nil {
		t.Fatal(err)
	}
	if config, err := img.ConfigName(); err != nil || config.Algorithm != "sha256" {
		t.Errorf("the tarball cannot be read: %v", err)
	}
}

// TestPush pushes to a registry in this process and pulls the image by the name that the command printed.
func TestPush(t *testing.T) {
	client, _ := clientFolder(t)
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")
	file := filepath.Join(t.TempDir(), "image.txt")
	var out bytes.Buffer
	args := []string{"-client", client, "-push", host + "/acme-chat/chat/realtime:src-1", "-digest-file", file}
	if err := run(t.Context(), args, &out); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	full := strings.TrimSpace(string(text))
	if !strings.HasSuffix(out.String(), full+"\n") || !strings.HasPrefix(full, host+"/acme-chat/chat/realtime@sha256:") {
		t.Errorf("the command printed %q, and its file has %q", out.String(), full)
	}
	ref, err := name.NewDigest(full)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := remote.Image(ref); err != nil {
		t.Errorf("the pushed image cannot be pulled: %v", err)
	}
}

// dated adds the times of uploads to the lists of a registry, as Google's registries do.
type dated struct {
	http.Handler
	digests []string // in the order of their uploads
}

func (d *dated) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !strings.HasSuffix(r.URL.Path, "/tags/list") || len(d.digests) == 0 {
		d.Handler.ServeHTTP(w, r)
		return
	}
	manifests := map[string]any{}
	for i, digest := range d.digests {
		manifests[digest] = map[string]any{"timeUploadedMs": strconv.Itoa(1000 * (i + 1)), "timeCreatedMs": "0",
			"imageSizeBytes": "1", "mediaType": "", "tag": []string{}}
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"name": "realtime", "manifest": manifests})
}

// TestPushKeepsAssetsOfEarlierReleases pushes releases one after another. An image has the assets of the three images
// that were pushed before it, and none from before those.
func TestPushKeepsAssetsOfEarlierReleases(t *testing.T) {
	reg := &dated{Handler: registry.New(registry.Logger(log.New(io.Discard, "", 0)))}
	server := httptest.NewServer(reg)
	defer server.Close()
	repo, err := name.NewRepository(strings.TrimPrefix(server.URL, "http://") + "/acme-chat/chat/realtime")
	if err != nil {
		t.Fatal(err)
	}

	release := func(n int) []string {
		t.Helper()
		page := []byte(strconv.Itoa(n))
		client, err := clientFiles(fstest.MapFS{
			"index.html":                            {Data: page},
			fmt.Sprintf("assets/Lazy-%d.js", n):     {Data: page},
			fmt.Sprintf("assets/Lazy-%d.js.map", n): {Data: []byte("{}")},
			"assets/same.css":                       {Data: []byte("p{}")},
			"assets/of-an-earlier-local-build.js":   {Data: []byte("export {}")},
			".carried":                              {Data: []byte("assets/of-an-earlier-local-build.js")},
		})
		if err != nil {
			t.Fatal(err)
		}
		earlier, err := earlierAssets(t.Context(), repo, client)
		if err != nil {
			t.Fatal(err)
		}
		img, err := assemble("amd64", []byte("a program"), []byte("another"), client, earlier)
		if err != nil {
			t.Fatal(err)
		}
		digest, err := img.Digest()
		if err != nil {
			t.Fatal(err)
		}
		if err := remote.Write(repo.Tag(fmt.Sprintf("release-%d", n)), img); err != nil {
			t.Fatal(err)
		}
		reg.digests = append(reg.digests, digest.String())
		root := t.TempDir()
		var served []string
		for _, file := range unpack(t, img, root) {
			f, ok := strings.CutPrefix(strings.TrimPrefix(file, "/"), "client/assets/")
			if ok && f != "" {
				served = append(served, f)
			}
		}
		if page, err := os.ReadFile(filepath.Join(root, "client", "index.html")); string(page) != strconv.Itoa(n) {
			t.Errorf("the page of release %d is %q, %v", n, page, err)
		}
		slices.Sort(served)
		return slices.Compact(served)
	}
	release(1)
	want := []string{"Lazy-1.js", "Lazy-2.js", "Lazy-2.js.map", "same.css"}
	if got := release(2); !slices.Equal(got, want) {
		t.Errorf("the second release serves %q, want %q", got, want)
	}
	release(3)
	release(4)
	want = []string{"Lazy-2.js", "Lazy-3.js", "Lazy-4.js", "Lazy-5.js", "Lazy-5.js.map", "same.css"}
	if got := release(5); !slices.Equal(got, want) {
		t.Errorf("the fifth release serves %q, want %q", got, want)
	}
}

func TestInvalidArguments(t *testing.T) {
	empty := t.TempDir()
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "no destination"},
		{[]string{"-tarball", "x.tar", "y"}, "no destination"},
		{[]string{"-client", empty, "-layout", empty}, "the client is not built"},
		{[]string{"-push", "no tag"}, "want HOST/PATH:TAG"},
		{[]string{"-push", "example.org/realtime"}, "want HOST/PATH:TAG"},
	} {
		err := run(t.Context(), c.args, io.Discard)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v; want %q", c.args, err, c.want)
		}
	}
	_, err := build(context.Background(), source{client: fstest.MapFS{"index.html": {}}, arch: "riscv64"})
	if err == nil || !strings.Contains(err.Error(), "amd64 or arm64") {
		t.Errorf("an unknown architecture: %v", err)
	}
}

// unpack writes the files of all layers below root and returns their names.
func unpack(t *testing.T, img v1.Image, root string) (names []string) {
	t.Helper()
	layers, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	var total int64
	for _, l := range layers {
		r, err := l.Uncompressed()
		if err != nil {
			t.Fatal(err)
		}
		for archive := tar.NewReader(r); ; {
			h, err := archive.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if h.Uid != 0 || h.Gid != 0 || h.Mode&0o022 != 0 {
				t.Errorf("%s belongs to %d:%d with mode %o, so the program could change it", h.Name, h.Uid, h.Gid, h.Mode)
			}
			path := filepath.Join(root, h.Name)
			if h.Typeflag == tar.TypeDir {
				err = os.MkdirAll(path, 0o755)
			} else {
				names = append(names, h.Name)
				total += h.Size
				err = write(path, archive, h.FileInfo().Mode())
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		r.Close()
	}
	t.Logf("%d files, %.1f MiB unpacked", len(names), float64(total)/(1<<20))
	return names
}

func write(path string, from io.Reader, mode fs.FileMode) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, from)
	return errors.Join(err, f.Close())
}

// checkRoots checks that the file has the CA roots of Google's services, which realtime calls.
func checkRoots(t *testing.T, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, c.Subject.CommonName)
	}
	if len(names) < 50 || !slices.Contains(names, "GTS Root R1") || !slices.Contains(names, "GlobalSign") {
		t.Errorf("the image has %d CA roots and lacks those of Google's services: %q", len(names), names)
	}
}
