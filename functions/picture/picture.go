// Package picture checks the pictures that users upload for their profiles, and removes everything from them that is
// not the picture: metadata such as the place where it was taken, color profiles, and data after its end.
//
// A picture is accepted only after it was decoded as a whole. The decoders are pure Go. They see the picture only
// after its header has said that it is small, so a decompression bomb costs nothing.
package picture

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"image/jpeg"
	"slices"

	"golang.org/x/image/webp"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// Side is the width and the height of a picture in pixels.
const Side = 256

// Content types that are accepted. Browsers that cannot encode WebP send JPEG.
const (
	WebP = "image/webp"
	JPEG = "image/jpeg"
)

// quality is that of a JPEG that is encoded again.
const quality = 88

// Errors of Clean.
var (
	ErrType     = problem.New(problem.Invalid, "picture_type", "Choose a picture in JPEG or WebP format.")
	ErrTooLarge = problem.New(problem.TooLarge, "picture_too_large",
		"This picture is too large. Choose one of at most 64 KB.")
	ErrSide     = problem.New(problem.Invalid, "picture_side", "The picture must be 256 × 256 pixels.")
	ErrAnimated = problem.New(problem.Invalid, "picture_animated", "Choose a picture that does not move.")
	ErrInvalid  = problem.New(problem.Invalid, "picture_invalid", "This picture cannot be read. Choose another one.")
)

// Clean checks that data is a picture of the content type, of Side × Side pixels, and not animated. It returns the
// picture without anything else that the data contains. A WebP keeps its pixels as they are; a JPEG is encoded again.
func Clean(contentType string, data []byte) (store.Picture, error) {
	if len(data) > store.MaxPicture {
		return store.Picture{}, ErrTooLarge
	}
	var err error
	switch contentType {
	case WebP:
		data, err = cleanWebP(data)
	case JPEG:
		data, err = cleanJPEG(data)
	default:
		err = ErrType.WithCause(fmt.Errorf("content type %.60q", contentType))
	}
	if err != nil {
		return store.Picture{}, err
	}
	if len(data) > store.MaxPicture {
		return store.Picture{}, ErrTooLarge
	}
	return store.NewPicture(contentType, data), nil
}

func cleanJPEG(data []byte) ([]byte, error) {
	if !bytes.HasPrefix(data, []byte{0xff, 0xd8, 0xff}) {
		return nil, ErrType.WithCause(errors.New("not a JPEG"))
	}
	c, err := jpeg.DecodeConfig(bytes.NewReader(data))
	if err != nil {
		return nil, ErrInvalid.WithCause(err)
	}
	if c.Width != Side || c.Height != Side {
		return nil, ErrSide.WithCause(fmt.Errorf("%d × %d pixels", c.Width, c.Height))
	}
	m, err := jpeg.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, ErrInvalid.WithCause(err)
	}
	var out bytes.Buffer
	if err := jpeg.Encode(&out, m, &jpeg.Options{Quality: quality}); err != nil {
		return nil, ErrInvalid.WithCause(err)
	}
	return out.Bytes(), nil
}

// cleanWebP copies the chunks with the pixels into a new container. (There is no encoder for WebP in Go.)
func cleanWebP(data []byte) ([]byte, error) {
	chunks, err := chunksOf(data)
	if err != nil {
		return nil, err
	}
	var alpha, pixels *chunk
	for i, c := range chunks {
		switch c.id {
		case "ANIM", "ANMF":
			return nil, ErrAnimated
		case "ALPH":
			if alpha != nil || pixels != nil {
				return nil, ErrInvalid.WithCause(errors.New("unexpected ALPH chunk"))
			}
			alpha = &chunks[i]
		case "VP8 ", "VP8L":
			if pixels != nil {
				return nil, ErrInvalid.WithCause(errors.New("more than one picture"))
			}
			pixels = &chunks[i]
		}
	}
	if pixels == nil {
		return nil, ErrInvalid.WithCause(errors.New("no pixels"))
	}
	list := []chunk{*pixels}
	if alpha != nil && pixels.id == "VP8 " {
		list = []chunk{extended, *alpha, *pixels}
	}
	clean := container(list)
	// The new container is checked, because it is what browsers will read.
	c, err := webp.DecodeConfig(bytes.NewReader(clean))
	if err != nil {
		return nil, ErrInvalid.WithCause(err)
	}
	if c.Width != Side || c.Height != Side {
		return nil, ErrSide.WithCause(fmt.Errorf("%d × %d pixels", c.Width, c.Height))
	}
	if _, err := webp.Decode(bytes.NewReader(clean)); err != nil {
		return nil, ErrInvalid.WithCause(err)
	}
	return clean, nil
}

// chunk is a chunk of a RIFF file.
type chunk struct {
	id   string
	data []byte
}

// extended is the header of a picture of Side × Side pixels whose transparency has a chunk of its own.
// (https://developers.google.com/speed/webp/docs/riff_container#extended_file_format)
var extended = chunk{"VP8X", []byte{0x10, 0, 0, 0, Side - 1, 0, 0, Side - 1, 0, 0}}

const riffHeader = 12 // "RIFF", the size of what follows, "WEBP"

// chunksOf returns the chunks of a WebP file. What follows the end of the file is ignored.
func chunksOf(data []byte) (list []chunk, err error) {
	if len(data) < riffHeader || string(data[:4]) != "RIFF" || string(data[8:12]) != "WEBP" {
		return nil, ErrType.WithCause(errors.New("not a WebP"))
	}
	size := uint64(binary.LittleEndian.Uint32(data[4:]))
	if size > uint64(len(data)-8) {
		return nil, ErrInvalid.WithCause(errors.New("the file is cut off"))
	}
	for rest := data[riffHeader:max(riffHeader, 8+size)]; len(rest) > 0; {
		if len(rest) < 8 {
			return nil, ErrInvalid.WithCause(errors.New("a chunk is cut off"))
		}
		n := uint64(binary.LittleEndian.Uint32(rest[4:]))
		if n > uint64(len(rest)-8) {
			return nil, ErrInvalid.WithCause(errors.New("a chunk is cut off"))
		}
		list = append(list, chunk{string(rest[:4]), rest[8 : 8+n]})
		rest = rest[min(8+n+n%2, uint64(len(rest))):]
	}
	return list, nil
}

// container returns a WebP file with these chunks.
func container(list []chunk) []byte {
	out := slices.Concat([]byte("RIFF"), make([]byte, 4), []byte("WEBP"))
	for _, c := range list {
		out = append(out, c.id...)
		out = binary.LittleEndian.AppendUint32(out, uint32(len(c.data)))
		out = append(out, c.data...)
		if len(c.data)%2 == 1 {
			out = append(out, 0)
		}
	}
	binary.LittleEndian.PutUint32(out[4:], uint32(len(out)-8))
	return out
}
