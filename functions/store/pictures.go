package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"
)

// MaxPicture limits the bytes of a picture.
const MaxPicture = 64 << 10

// MaxFrozenPictures limits the older pictures of a user that are kept for people whom the user has blocked.
const MaxFrozenPictures = 3

// Picture is a user's picture. It has been checked: see package picture. Create it with NewPicture.
type Picture struct {
	Version string `json:"version"` // identifies the content; 32 hexadecimal digits
	Type    string `json:"type"`    // "image/webp" or "image/jpeg"
	Data    []byte `json:"data"`    // at most MaxPicture bytes
}

// NewPicture returns the picture with this content. Two pictures with the same content have the same version.
func NewPicture(contentType string, data []byte) Picture {
	sum := sha256.Sum256(append([]byte(contentType+"\x00"), data...))
	return Picture{Version: hex.EncodeToString(sum[:16]), Type: contentType, Data: data}
}

// Pictures keeps the pictures of users. A picture is stored apart from its user, whose record has only the version, so
// that lists do not read it. Changes of the user delete each picture that nobody may see any more (User.Pictures), and
// FinishErase deletes all of them.
type Pictures interface {
	// SetPicture replaces the picture of a user; nil removes it. A user who is being deleted is problem.ErrNotFound.
	SetPicture(ctx context.Context, uid string, p *Picture) (User, error)

	// Picture returns a picture that the user has, or that is kept for people whom the user has blocked.
	Picture(ctx context.Context, uid, version string) (Picture, error)
}

// PictureFor returns the version of the picture of u that the user uid may see; "": none.
func (u User) PictureFor(uid string) string {
	if f := u.frozenFor(uid); f != nil {
		return f.Picture
	}
	return u.Picture
}

// Pictures returns the versions of all pictures of u that somebody may see.
func (u User) Pictures() []string {
	var list []string
	add := func(version string) {
		if version != "" && !slices.Contains(list, version) {
			list = append(list, version)
		}
	}
	add(u.Picture)
	for _, f := range u.Frozen {
		add(f.Picture)
	}
	return list
}

// LostPictures returns the versions of the pictures of before that nobody may see after the change to u.
func (u User) LostPictures(before User) []string {
	have := u.Pictures()
	return slices.DeleteFunc(before.Pictures(), func(v string) bool { return slices.Contains(have, v) })
}

// SetPicture makes version the picture of u; "" is none. People whom u has blocked go on seeing the picture of the
// time of the block. Of these, the newest MaxFrozenPictures are kept; people who saw an older one see none.
func (u *User) SetPicture(version string) {
	if version == u.Picture {
		return
	}
	u.freeze()
	u.Picture = version
	var kept []string
	u.Frozen = slices.Clone(u.Frozen)
	for i := len(u.Frozen) - 1; i >= 0; i-- {
		switch p := u.Frozen[i].Picture; {
		case p == "" || p == u.Picture || slices.Contains(kept, p):
		case len(kept) < MaxFrozenPictures:
			kept = append(kept, p)
		default:
			u.Frozen[i].Picture = ""
		}
	}
}
