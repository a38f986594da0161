package picture

import (
	"bytes"
	"errors"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"os"
	"slices"
	"testing"

	"golang.org/x/image/webp"

	"github.com/phoenixchat/phoenixchat/functions/store"
)

// file reads a picture that Chromium encoded. Each has a color profile.
func file(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// square returns a picture with that many pixels on each side.
func square(side int, at func(x, y int) color.Color) image.Image {
	m := image.NewRGBA(image.Rect(0, 0, side, side))
	for y := range side {
		for x := range side {
			m.Set(x, y, at(x, y))
		}
	}
	return m
}

func gradient(x, y int) color.Color { return color.RGBA{uint8(x), uint8(y), 128, 255} }

func encoded(t testing.TB, encode func(*bytes.Buffer) error) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := encode(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func jpegOf(t testing.TB, m image.Image, quality int) []byte {
	t.Helper()
	return encoded(t, func(b *bytes.Buffer) error { return jpeg.Encode(b, m, &jpeg.Options{Quality: quality}) })
}

// with returns a WebP file with more chunks at its end, as metadata has them.
func with(t testing.TB, data []byte, more ...chunk) []byte {
	t.Helper()
	chunks, err := chunksOf(data)
	if err != nil {
		t.Fatal(err)
	}
	return container(append(chunks, more...))
}

// secret is in all metadata of these tests.
const secret = "52.5200N 13.4050E"

// withEXIF returns a JPEG with metadata in an application segment and a comment, and data after its end.
func withEXIF(data []byte) []byte {
	segment := func(marker byte, text string) []byte {
		return append([]byte{0xff, marker, 0, byte(len(text) + 2)}, text...)
	}
	return slices.Concat(data[:2], segment(0xe1, "Exif\x00\x00"+secret), segment(0xfe, secret), data[2:], []byte(secret))
}

func TestClean(t *testing.T) {
	for _, name := range []string{"lossy.webp", "lossless.webp", "alpha.webp"} {
		given := append(with(t, file(t, name), chunk{"EXIF", []byte(secret)}, chunk{"XMP ", []byte(secret)}), secret...)
		p, err := Clean(WebP, given)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		before, err := webp.Decode(bytes.NewReader(file(t, name)))
		after, afterErr := webp.Decode(bytes.NewReader(p.Data))
		if err != nil || afterErr != nil || !samePixels(before, after) {
			t.Errorf("%s: the pixels have changed (%v, %v)", name, err, afterErr)
		}
		chunks, err := chunksOf(p.Data)
		if err != nil || slices.ContainsFunc(chunks, func(c chunk) bool {
			return !slices.Contains([]string{"VP8X", "ALPH", "VP8 ", "VP8L"}, c.id)
		}) {
			t.Errorf("%s: the result has the chunks %v (%v)", name, chunks, err)
		}
		checkClean(t, name, p, WebP)
	}

	p, err := Clean(JPEG, withEXIF(jpegOf(t, square(Side, gradient), 90)))
	if err != nil {
		t.Fatal(err)
	}
	m, err := jpeg.Decode(bytes.NewReader(p.Data))
	if err != nil || m.Bounds().Dx() != Side {
		t.Fatal(m, err)
	}
	if r, g, _, _ := m.At(200, 40).RGBA(); r>>8 < 190 || r>>8 > 210 || g>>8 < 30 || g>>8 > 50 {
		t.Errorf("the pixel at 200, 40 is %v", m.At(200, 40))
	}
	checkClean(t, "JPEG", p, JPEG)
}

// checkClean checks that nothing of the metadata is left, and that a repetition has the same version.
func checkClean(t *testing.T, name string, p store.Picture, contentType string) {
	t.Helper()
	for _, word := range []string{secret, "ICC", "Exif", "sRGB"} {
		if bytes.Contains(p.Data, []byte(word)) {
			t.Errorf("%s: the result contains %q", name, word)
		}
	}
	if p.Type != contentType || len(p.Version) != 32 {
		t.Errorf("%s: type %s, version %s", name, p.Type, p.Version)
	}
	again, err := Clean(contentType, p.Data)
	if err != nil || contentType == WebP && again.Version != p.Version {
		t.Errorf("%s, cleaned twice: version %s and %s (%v)", name, p.Version, again.Version, err)
	}
}

func samePixels(a, b image.Image) bool {
	if a.Bounds() != b.Bounds() {
		return false
	}
	for y := range Side {
		for x := range Side {
			if a.At(x, y) != b.At(x, y) {
				return false
			}
		}
	}
	return true
}

func TestRefused(t *testing.T) {
	lossy, photo := file(t, "lossy.webp"), jpegOf(t, square(Side, gradient), 90)
	frame := image.NewPaletted(image.Rect(0, 0, Side, Side), color.Palette{color.Black, color.White})
	moving := encoded(t, func(b *bytes.Buffer) error {
		return gif.EncodeAll(b, &gif.GIF{Image: []*image.Paletted{frame, frame}, Delay: []int{1, 1}})
	})
	still := encoded(t, func(b *bytes.Buffer) error {
		return png.Encode(b, square(Side, func(x, _ int) color.Color { return gradient(x, 0) }))
	})
	svg := []byte(`<svg xmlns="http://www.w3.org/2000/svg" width="256" height="256"><script>alert(1)</script></svg>`)
	animated := container([]chunk{{"VP8X", []byte{2, 0, 0, 0, 255, 0, 0, 255, 0, 0}}, {"ANIM", make([]byte, 6)},
		{"ANMF", make([]byte, 24)}})
	lossyChunks, err := chunksOf(lossy)
	if err != nil {
		t.Fatal(err)
	}
	pixels := lossyChunks[len(lossyChunks)-1]
	// The headers of decompression bombs: of 16,383 and of 65,535 pixels on each side.
	bomb := slices.Clone(pixels.data)
	bomb[6], bomb[7], bomb[8], bomb[9] = 0xff, 0x3f, 0xff, 0x3f
	jpegBomb := slices.Clone(photo)
	size := bytes.Index(jpegBomb, []byte{0xff, 0xc0}) + 5
	copy(jpegBomb[size:], []byte{0xff, 0xff, 0xff, 0xff})

	for _, tt := range []struct {
		name, contentType string
		data              []byte
		want              error
	}{
		{"SVG", "image/svg+xml", svg, ErrType},
		{"SVG with the type of a WebP", WebP, svg, ErrType},
		{"SVG with the type of a JPEG", JPEG, svg, ErrType},
		{"GIF", "image/gif", moving, ErrType},
		{"moving GIF with the type of a WebP", WebP, moving, ErrType},
		{"PNG", "image/png", still, ErrType},
		{"PNG with the type of a JPEG", JPEG, still, ErrType},
		{"JPEG with the type of a WebP", WebP, photo, ErrType},
		{"WebP with the type of a JPEG", JPEG, lossy, ErrType},
		{"no type", "", lossy, ErrType},
		{"animated WebP", WebP, animated, ErrAnimated},
		{"animated WebP that begins with a still picture", WebP, with(t, lossy, chunk{"ANMF", make([]byte, 24)}),
			ErrAnimated},
		{"too many bytes", WebP, with(t, lossy, chunk{"EXIF", make([]byte, store.MaxPicture)}), ErrTooLarge},
		{"too many bytes of a JPEG", JPEG, append(photo, make([]byte, store.MaxPicture)...), ErrTooLarge},
		{"large WebP", WebP, file(t, "large.webp"), ErrSide},
		{"large JPEG", JPEG, jpegOf(t, square(257, gradient), 30), ErrSide},
		{"small JPEG", JPEG, jpegOf(t, square(1, gradient), 30), ErrSide},
		{"WebP bomb", WebP, container([]chunk{{pixels.id, bomb}}), ErrSide},
		{"WebP bomb behind a small header", WebP, container([]chunk{extended, {"ALPH", []byte{0}}, {pixels.id, bomb}}),
			ErrInvalid},
		{"JPEG bomb", JPEG, jpegBomb, ErrSide},
		{"nothing", WebP, nil, ErrType},
		{"half a header", WebP, lossy[:10], ErrType},
		{"no pixels", WebP, container([]chunk{{"EXIF", []byte(secret)}}), ErrInvalid},
		{"two pictures", WebP, with(t, lossy, pixels), ErrInvalid},
		{"transparency after the picture", WebP, with(t, lossy, chunk{"ALPH", []byte{0}}), ErrInvalid},
		{"half a chunk", WebP, append(container(nil)[:4], []byte("\x08\x00\x00\x00WEBPVP8L")...), ErrInvalid},
		{"a size that ends in the header", WebP, []byte("RIFF\x00\x00\x00\x00WEBP"), ErrInvalid},
	} {
		if _, err := Clean(tt.contentType, tt.data); !errors.Is(err, tt.want) {
			t.Errorf("%s: error %v, want %v", tt.name, err, tt.want)
		}
	}
	for _, cut := range []int{13, 20, 30, 100, len(lossy) / 2, len(lossy) - 1} {
		if _, err := Clean(WebP, lossy[:cut]); err == nil {
			t.Errorf("the first %d bytes of a WebP are accepted", cut)
		}
	}
	if _, err := Clean(JPEG, photo[:len(photo)/2]); !errors.Is(err, ErrInvalid) {
		t.Errorf("half a JPEG: %v", err)
	}
}

// Whatever bytes change, the result is a picture or an error.
func FuzzClean(f *testing.F) {
	for _, name := range []string{"lossy.webp", "lossless.webp", "alpha.webp"} {
		f.Add(WebP, file(f, name))
	}
	f.Add(JPEG, jpegOf(f, square(Side, gradient), 90))
	f.Fuzz(func(t *testing.T, contentType string, data []byte) {
		if p, err := Clean(contentType, data); err == nil {
			if _, err := Clean(contentType, p.Data); err != nil {
				t.Errorf("the result is refused: %v", err)
			}
		}
	})
}
