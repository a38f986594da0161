// Command pin writes the digests of the images that the pipeline and Terraform's build use into their files. A tag can
// be moved to another image, a digest cannot. Run it in the repository's root, on a machine that reaches the
// registries, and commit what it changes. To take newer images of the same tags, run it again.
//
//	go run ./infra/pipeline/pin
//
// The repository has tags only, because whoever deploys should decide which images to trust. The pipeline's step check
// refuses to deploy without digests.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

func main() {
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "pin writes the digests of the pipeline's images into their files.")
	}
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, ".", os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "infra/pipeline/pin:", err)
		os.Exit(1)
	}
}

// files returns the files with images, below root.
func files(root string) ([]string, error) {
	list, err := filepath.Glob(filepath.Join(root, "infra", "pipeline", "*.yaml"))
	list = append(list, filepath.Join(root, "cloudbuild.yaml"), filepath.Join(root, "infra", "terraform", "image.tf"))
	slices.Sort(list)
	return list, err
}

// image matches an image with a tag, and a digest if it has one: the name of a step, or a builder in image.tf.
var image = regexp.MustCompile(`(?m)^( *(?:- )?name: |  (?:node|go)_builder += ")` +
	`([^\s"@]+:[\w.-]+)(@sha256:[0-9a-f]{64})?`)

// run pins the images in the files below root. It writes no file if an image cannot be found.
func run(ctx context.Context, root string, out io.Writer) error {
	paths, err := files(root)
	if err != nil {
		return err
	}
	digests, texts := map[string]string{}, map[string]string{}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		texts[path] = string(text)
		for _, m := range image.FindAllStringSubmatch(texts[path], -1) {
			if digests[m[2]] != "" {
				continue
			}
			if digests[m[2]], err = digestOf(ctx, m[2]); err != nil {
				return err
			}
			fmt.Fprintf(out, "%s@%s\n", m[2], digests[m[2]])
		}
	}
	if len(digests) == 0 {
		return fmt.Errorf("no image in %s", strings.Join(paths, ", "))
	}
	for _, path := range paths {
		pinned := image.ReplaceAllStringFunc(texts[path], func(found string) string {
			m := image.FindStringSubmatch(found)
			return m[1] + m[2] + "@" + digests[m[2]]
		})
		if pinned == texts[path] {
			continue
		}
		if err := os.WriteFile(path, []byte(pinned), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// digestOf asks the registry for the digest of an image. With several platforms, it is that of their list.
func digestOf(ctx context.Context, tagged string) (string, error) {
	tag, err := name.NewTag(tagged)
	if err != nil {
		return "", fmt.Errorf("image %s: %w", tagged, err)
	}
	d, err := remote.Head(tag, remote.WithContext(ctx))
	if err != nil {
		return "", fmt.Errorf("image %s: %w", tagged, err)
	}
	return d.Digest.String(), nil
}
