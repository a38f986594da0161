package main

import (
	"archive/tar"
	"bytes"
	"io"
	"path"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// file is a file of the image. All files belong to root, so that the program, which does not run as root, cannot
// change them.
type file struct {
	name string // absolute, with slashes
	mode int64
	data []byte
}

// layer returns a layer with the files and their folders. They are sorted and have the same modification time, so
// that the layer depends only on the files.
func layer(files []file) (v1.Layer, error) {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	seen := map[string]bool{"/": true}
	byName := func(a, b file) int { return strings.Compare(a.name, b.name) }
	for _, f := range slices.SortedFunc(slices.Values(files), byName) {
		if err := folders(w, seen, path.Dir(f.name)); err != nil {
			return nil, err
		}
		if err := w.WriteHeader(header(f.name, tar.TypeReg, f.mode, int64(len(f.data)))); err != nil {
			return nil, err
		}
		if _, err := w.Write(f.data); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(buf.Bytes())), nil
	}, tarball.WithMediaType(types.OCILayer))
}

// folders writes dir and its parent folders, each of them once.
func folders(w *tar.Writer, seen map[string]bool, dir string) error {
	if seen[dir] {
		return nil
	}
	seen[dir] = true
	if err := folders(w, seen, path.Dir(dir)); err != nil {
		return err
	}
	return w.WriteHeader(header(dir+"/", tar.TypeDir, 0o755, 0))
}

func header(name string, kind byte, mode, size int64) *tar.Header {
	return &tar.Header{
		Typeflag: kind, Name: strings.TrimPrefix(name, "/"), Mode: mode, Size: size,
		ModTime: time.Unix(0, 0), Format: tar.FormatPAX,
	}
}
