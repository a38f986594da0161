// Command image builds the container image of realtime and of the prober. Developers and Cloud Build use it:
//
//	go run ./infra/image -tarball realtime.tar               # for docker load, podman load
//	go run ./infra/image -layout realtime                    # a folder in OCI layout
//	go run ./infra/image -push HOST/PROJECT/REPO/realtime:TAG
//
// It needs the Go toolchain and the built client (-client, by default web/dist), but not Docker. There is no base
// image: the programs are static, and their other files (CA roots, a user that is not root, the client) come from the
// repository and its Go modules. The image therefore does not depend on an image that others maintain, and contains
// no other program.
//
// The same sources and toolchain always give the same digest, on every machine. An image that is pushed also contains
// the client's assets of earlier images in its repository, so that pages which are open during a deployment still work.
//
// The last line on standard output is the digest, or with -push the full name with the digest.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/google"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "infra/image:", err)
		os.Exit(1)
	}
}

// run builds the image and writes it to the destinations that the arguments name.
func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("infra/image", flag.ContinueOnError)
	client := flags.String("client", filepath.Join("web", "dist"), "`folder` of the built client")
	arch := flags.String("arch", "amd64", "`architecture`: amd64 (Cloud Run) or arm64")
	tarFile := flags.String("tarball", "", "write the image to this `file`, for docker load")
	layoutDir := flags.String("layout", "", "write the image to this `folder` in OCI layout")
	push := flags.String("push", "", "push the image under this `name`, with a tag")
	digestFile := flags.String("digest-file", "", "also write the last line to this `file`")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 || *tarFile == "" && *layoutDir == "" && *push == "" {
		return errors.New("no destination: use -tarball, -layout or -push (see -help)")
	}
	tag, err := name.NewTag("realtime:latest")
	if *push != "" {
		tag, err = name.NewTag(*push, name.StrictValidation)
	}
	if err != nil {
		return fmt.Errorf("-push %s: want HOST/PATH:TAG: %w", *push, err)
	}

	s := source{client: os.DirFS(*client), arch: *arch}
	if *push != "" {
		s.earlier = func(client []file) ([]file, error) { return earlierAssets(ctx, tag.Context(), client) }
	}
	img, err := build(ctx, s)
	if err != nil {
		return err
	}
	digest, err := img.Digest()
	if err != nil {
		return err
	}
	if err := describe(out, img); err != nil {
		return err
	}
	if *tarFile != "" {
		if err := tarball.WriteToFile(*tarFile, tag, img); err != nil {
			return fmt.Errorf("write the tarball: %w", err)
		}
	}
	if *layoutDir != "" {
		if err := writeLayout(*layoutDir, img); err != nil {
			return fmt.Errorf("write the layout: %w", err)
		}
	}
	last := digest.String()
	if *push != "" {
		// The keychain has credentials of the build's service account for Artifact Registry and none for others.
		err := remote.Write(tag, img, remote.WithContext(ctx), remote.WithAuthFromKeychain(google.Keychain))
		if err != nil {
			return fmt.Errorf("push %s: %w", tag, err)
		}
		last = tag.Context().Digest(last).String()
	}
	fmt.Fprintln(out, last)
	if *digestFile != "" {
		return os.WriteFile(*digestFile, []byte(last+"\n"), 0o644)
	}
	return nil
}

// writeLayout writes an OCI layout with only img to dir.
func writeLayout(dir string, img v1.Image) error {
	if err := os.RemoveAll(filepath.Join(dir, "blobs")); err != nil {
		return err
	}
	path, err := layout.Write(dir, empty.Index)
	if err != nil {
		return err
	}
	return path.AppendImage(img)
}

// describe prints the number of layers and the size of the image.
func describe(out io.Writer, img v1.Image) error {
	layers, err := img.Layers()
	if err != nil {
		return err
	}
	var total int64
	for _, l := range layers {
		size, err := l.Size()
		if err != nil {
			return err
		}
		total += size
	}
	_, err = fmt.Fprintf(out, "%d layers, %.1f MiB compressed\n", len(layers), float64(total)/(1<<20))
	return err
}
