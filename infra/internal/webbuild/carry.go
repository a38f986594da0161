package webbuild

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// assets is the folder of a build for files whose names contain a hash of their content.
const assets = "assets"

// carriedList is a file in the folder of the built client with the names of the assets that an earlier build made, one
// per line. Pages of that build, which are still open, load the rest of their code from them.
const carriedList = ".carried"

// Carried returns the names of the files in a built client that come from an earlier build.
func Carried(client fs.FS) ([]string, error) {
	b, err := fs.ReadFile(client, carriedList)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return strings.Fields(string(b)), err
}

// ownAssets returns the assets that the last build in dir/dist made, by name. Source maps are left out.
func ownAssets(dir string) (map[string][]byte, error) {
	dist := os.DirFS(filepath.Join(dir, "dist"))
	carried, err := Carried(dist)
	if err != nil {
		return nil, err
	}
	entries, err := fs.ReadDir(dist, assets)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	own := map[string][]byte{}
	for _, e := range entries {
		name := path.Join(assets, e.Name())
		if !e.Type().IsRegular() || path.Ext(name) == ".map" || slices.Contains(carried, name) {
			continue
		}
		if own[name], err = fs.ReadFile(dist, name); err != nil {
			return nil, err
		}
	}
	return own, nil
}

// carry adds assets of an earlier build to the one in dir/dist. The latter made the files that it already has.
func carry(dir string, earlier map[string][]byte) error {
	dist := filepath.Join(dir, "dist")
	var carried []string
	for name, data := range earlier {
		file := filepath.Join(dist, filepath.FromSlash(name))
		if _, err := os.Stat(file); err == nil {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(file, data, 0o644); err != nil {
			return err
		}
		carried = append(carried, name)
	}
	slices.Sort(carried)
	return os.WriteFile(filepath.Join(dist, carriedList), []byte(strings.Join(carried, "\n")), 0o644)
}
