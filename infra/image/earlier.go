package main

import (
	"archive/tar"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/google"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// earlierReleases is the number of pushed images whose client's assets a new image serves as well. It is more than one,
// because the newest image need not be the deployed one: its tests may have failed, or it was rolled back.
const earlierReleases = 3

// assets is the folder of files whose names contain a hash of their content.
var assets = path.Join(clientDir, "assets") + "/"

// earlierAssets returns the assets of the clients in the newest images of a repository, without those in client. Pages
// that were opened before a deployment load the rest of their code from them. An image contributes only the assets that
// were built with it, so they do not accumulate. Source maps are left out.
func earlierAssets(ctx context.Context, repo name.Repository, client []file) ([]file, error) {
	tags, err := google.List(repo, google.WithContext(ctx), google.WithAuthFromKeychain(google.Keychain))
	if err != nil {
		if e := new(transport.Error); errors.As(err, &e) && e.StatusCode == http.StatusNotFound {
			return nil, nil // nothing was pushed yet
		}
		return nil, fmt.Errorf("list the images of %s: %w", repo, err)
	}
	type pushed struct {
		digest string
		info   google.ManifestInfo
	}
	var images []pushed
	for digest, info := range tags.Manifests {
		images = append(images, pushed{digest, info})
	}
	slices.SortFunc(images, func(a, b pushed) int {
		return cmp.Or(b.info.Uploaded.Compare(a.info.Uploaded), cmp.Compare(a.digest, b.digest))
	})
	known := map[string]bool{}
	for _, f := range client {
		known[f.name] = true
	}
	var found []file
	for _, p := range images[:min(len(images), earlierReleases)] {
		img, err := remote.Image(repo.Digest(p.digest),
			remote.WithContext(ctx), remote.WithAuthFromKeychain(google.Keychain))
		if err != nil {
			return nil, fmt.Errorf("read the earlier image %s: %w", p.digest, err)
		}
		files, err := ownAssets(img)
		if err != nil {
			return nil, fmt.Errorf("read the client of the earlier image %s: %w", p.digest, err)
		}
		for _, f := range files {
			if !known[f.name] {
				known[f.name] = true
				found = append(found, f)
			}
		}
	}
	return found, nil
}

// ownAssets returns the assets of the client that was built with an image of this program. It returns none for an image
// of another program.
func ownAssets(img v1.Image) ([]file, error) {
	config, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	layers, err := img.Layers()
	if err != nil {
		return nil, err
	}
	isClient := func(h v1.History) bool { return h.CreatedBy == history(clientLayer) }
	i := slices.IndexFunc(config.History, isClient)
	if i < 0 || len(config.History) != len(layers) {
		return nil, nil
	}
	r, err := layers[i].Uncompressed()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	var files []file
	for t := tar.NewReader(r); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err != nil {
			return nil, err
		}
		full := path.Join("/", h.Name)
		if h.Typeflag != tar.TypeReg || !strings.HasPrefix(full, assets) || path.Ext(full) == ".map" {
			continue
		}
		data, err := io.ReadAll(t)
		if err != nil {
			return nil, err
		}
		files = append(files, file{name: full, mode: 0o644, data: data})
	}
}
