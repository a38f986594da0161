package main

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// source describes the contents of an image, besides the Go sources of the module.
type source struct {
	client fs.FS  // the built client
	arch   string // amd64 or arm64

	// earlier returns files of earlier clients to serve beside those of the client; nil for none.
	earlier func(client []file) ([]file, error)
}

// clientLayer names the layer of the client, by which later builds find it (ownAssets).
const clientLayer = "client"

// carriedList is the file of a built client with the names of assets of an earlier build (see infra/internal/webbuild).
const carriedList = ".carried"

// history returns the history of the layer with a name.
func history(name string) string { return "infra/image: " + name }

// Paths in the image, and the user that runs the program. 65532 is the user nonroot of distroless images.
const (
	program   = "/realtime"
	prober    = "/prober"
	clientDir = "/client"
	rootsFile = "/etc/ssl/certs/ca-certificates.crt"
	user      = "65532:65532"
)

// build compiles realtime and the prober, and returns an image with both, the client and the files that they need.
func build(ctx context.Context, s source) (v1.Image, error) {
	client, err := clientFiles(s.client)
	if err != nil {
		return nil, err
	}
	var earlier []file
	if s.earlier != nil {
		if earlier, err = s.earlier(client); err != nil {
			return nil, err
		}
	}
	realtime, err := compile(ctx, s.arch, "realtime/cmd/realtime")
	if err != nil {
		return nil, err
	}
	smoke, err := compile(ctx, s.arch, "infra/pipeline/smoke")
	if err != nil {
		return nil, err
	}
	return assemble(s.arch, realtime, smoke, client, earlier)
}

// assemble returns an image of the program with the files of its client and of earlier clients.
func assemble(arch string, realtime, smoke []byte, client, earlier []file) (v1.Image, error) {
	// Layers that rarely change come first, so that registries and machines can reuse them.
	var adds []mutate.Addendum
	for _, part := range []struct {
		name  string
		files []file
	}{
		{"users and CA roots", baseFiles()},
		{"assets of earlier clients", earlier},
		{clientLayer, client},
		{"prober", []file{{name: prober, mode: 0o755, data: smoke}}},
		{"program", []file{{name: program, mode: 0o755, data: realtime}}},
	} {
		if len(part.files) == 0 {
			continue
		}
		l, err := layer(part.files)
		if err != nil {
			return nil, fmt.Errorf("layer of %s: %w", part.name, err)
		}
		adds = append(adds, mutate.Addendum{Layer: l, History: v1.History{CreatedBy: history(part.name)}})
	}

	bare := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	img, err := mutate.Append(bare, adds...)
	if err != nil {
		return nil, err
	}
	config, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", arch
	config.Created = v1.Time{Time: time.Unix(0, 0).UTC()} // the time of the build would change the digest
	config.Config = v1.Config{
		User:         user,
		WorkingDir:   "/",
		Entrypoint:   []string{program},
		Env:          []string{"SSL_CERT_FILE=" + rootsFile, "CLIENT_DIR=" + clientDir},
		ExposedPorts: map[string]struct{}{"8080/tcp": {}},
		StopSignal:   "SIGTERM",
	}
	return mutate.ConfigFile(img, config)
}

// compile builds a program of the module for Linux. The result is the same on every machine.
func compile(ctx context.Context, arch, pkg string) ([]byte, error) {
	if arch != "amd64" && arch != "arm64" {
		return nil, fmt.Errorf("architecture %q: want amd64 or arm64", arch)
	}
	dir, err := os.MkdirTemp("", "realtime-image")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	out := filepath.Join(dir, "program")
	cmd := exec.CommandContext(ctx, "go", "build",
		"-trimpath",       // no paths of this machine
		"-buildvcs=false", // the result is the same without a Git history
		"-ldflags=-s -w",  // without debug information, which is a third of the size
		"-o", out, "github.com/phoenixchat/phoenixchat/"+pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch,
		"GOFLAGS=", "GOWORK=off", "GOEXPERIMENT=", "GOAMD64=v1", "GOARM64=v8.0")
	var text bytes.Buffer
	cmd.Stdout, cmd.Stderr = &text, &text
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("compile %s: %w\n%s", pkg, err, strings.TrimSpace(text.String()))
	}
	return os.ReadFile(out)
}

// clientFiles returns the files of the built client below clientDir.
func clientFiles(client fs.FS) ([]file, error) {
	if _, err := fs.Stat(client, "index.html"); err != nil {
		return nil, errors.New("the client is not built: there is no index.html. " +
			"Run npm ci and npm run build in web, or name its folder with -client")
	}
	// A client that was built on a developer's machine also has assets of the build before. They would make the image
	// depend on what was built earlier on that machine.
	list, err := fs.ReadFile(client, carriedList)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read the client: %w", err)
	}
	carried := strings.Fields(string(list))
	var files []file
	err = fs.WalkDir(client, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name != "." && strings.HasPrefix(path.Base(name), ".") { // such as webbuild's stamp
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if d.IsDir() || slices.Contains(carried, name) {
			return nil
		}
		if !d.Type().IsRegular() {
			return fmt.Errorf("%s is not a regular file", name)
		}
		data, err := fs.ReadFile(client, name)
		files = append(files, file{name: path.Join(clientDir, name), mode: 0o644, data: data})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the client: %w", err)
	}
	return files, nil
}

// baseFiles returns the files that a static program needs in an image without a Linux distribution.
func baseFiles() []file {
	var roots bytes.Buffer
	for root := range bundle.Roots() {
		// A PEM file cannot express constraints. Only authorities that are being removed have one.
		if root.Constraint == nil {
			_ = pem.Encode(&roots, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}) // cannot fail for a bytes.Buffer
		}
	}
	return []file{
		{name: "/etc/passwd", mode: 0o644,
			data: []byte("root:x:0:0:root:/:/none\nnonroot:x:65532:65532:nonroot:/:/none\n")},
		{name: "/etc/group", mode: 0o644, data: []byte("root:x:0:\nnonroot:x:65532:\n")},
		{name: rootsFile, mode: 0o644, data: roots.Bytes()},
	}
}
