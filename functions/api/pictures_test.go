package api_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/phoenixchat/phoenixchat/functions/store"
)

// picture returns a picture of the tests of package picture, as it is uploaded.
func picture(name string) store.Picture {
	data, err := os.ReadFile("../picture/testdata/" + name)
	if err != nil {
		panic(err)
	}
	return store.NewPicture("image/webp", data)
}

// putPicture uploads a picture, and returns its version.
func (s *system) putPicture(token, name string) string {
	s.t.Helper()
	var me struct{ Picture string }
	s.call("PUT", "/me/picture", token, string(picture(name).Data), "Content-Type", "image/webp").must(200, &me)
	if len(me.Picture) != 32 {
		s.t.Fatalf("the version is %q", me.Picture)
	}
	return me.Picture
}

func TestPicture(t *testing.T) {
	s := newSystem(t)
	ada, bob := s.token(s.user("ada")), s.token(s.user("bob"))
	var bobsView struct{ Picture string }
	s.call("GET", "/users/ada", bob, nil).must(200, &bobsView)
	if bobsView.Picture != "" {
		t.Errorf("the version before there is a picture: %q", bobsView.Picture)
	}
	version := s.putPicture(ada, "lossy.webp")
	if again := s.putPicture(ada, "lossy.webp"); again != version {
		t.Errorf("a repetition has the version %s, the first one %s", again, version)
	}
	s.call("GET", "/users/ada", bob, nil).must(200, &bobsView)
	if bobsView.Picture != version {
		t.Errorf("bob sees the version %q, want %s", bobsView.Picture, version)
	}
	// Lists have the version alone.
	if list := s.call("GET", "/users", bob, nil).must(200, nil); !strings.Contains(string(list.body), version) ||
		len(list.body) > 1000 {
		t.Errorf("the list is %.2000s", list.body)
	}

	path := "/users/ada/picture/" + version
	a := s.call("GET", path, bob, nil, "Origin", origin).must(200, nil)
	if a.header.Get("Content-Type") != "image/webp" || a.header.Get("X-Content-Type-Options") != "nosniff" ||
		a.header.Get("Cache-Control") != "private, max-age=31536000, immutable" ||
		a.header.Get("Access-Control-Allow-Origin") != origin {
		t.Errorf("headers %v", a.header)
	}
	if !bytes.HasPrefix(a.body, []byte("RIFF")) || bytes.Contains(a.body, []byte("ICCP")) {
		t.Errorf("the picture has its metadata: %.40q", a.body)
	}
	s.call("GET", path, ada, nil).must(200, nil)
	s.call("GET", path, "", nil).refused(401, "unauthenticated")
	for _, wrong := range []string{"/users/bob/picture/" + version, "/users/ada/picture/" + strings.Repeat("0", 32),
		"/users/nobody/picture/" + version, "/users/../picture/x", "/users/ada/picture/.."} {
		s.call("GET", wrong, bob, nil).refused(404, "picture_not_found")
	}

	other := s.putPicture(ada, "alpha.webp")
	s.call("GET", path, bob, nil).refused(404, "picture_not_found")
	s.call("GET", "/users/ada/picture/"+other, bob, nil).must(200, nil)
	var me struct{ Picture string }
	s.call("DELETE", "/me/picture", ada, nil).must(200, &me)
	s.call("DELETE", "/me/picture", ada, nil).must(200, &me)
	if me.Picture != "" {
		t.Errorf("the version after the removal: %q", me.Picture)
	}
	s.call("GET", "/users/ada/picture/"+other, bob, nil).refused(404, "picture_not_found")
}

// Package picture has more cases.
func TestRefusedPictures(t *testing.T) {
	s := newSystem(t)
	ada := s.token(s.user("ada"))
	lossy := string(picture("lossy.webp").Data)
	svg := `<svg xmlns="http://www.w3.org/2000/svg" width="256" height="256"/>`
	animated := "RIFF\x1a\x00\x00\x00WEBPANIM\x06\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	for _, tt := range []struct {
		name, contentType, body string
		status                  int
		code                    string
	}{
		{"oversized", "image/webp", lossy + strings.Repeat("x", store.MaxPicture), 413, "picture_too_large"},
		{"of the wrong size", "image/webp", string(picture("large.webp").Data), 422, "picture_side"},
		{"mislabeled", "image/jpeg", lossy, 415, "picture_type"},
		{"animated", "image/webp", animated[:4] + "\x12" + animated[5:], 422, "picture_animated"},
		{"SVG", "image/svg+xml", svg, 415, "picture_type"},
		{"SVG as WebP", "image/webp", svg, 415, "picture_type"},
		{"JSON", "application/json", `{"picture":"x"}`, 415, "picture_type"},
		{"cut off", "image/webp", lossy[:200], 422, "picture_invalid"},
		{"empty", "image/webp", "", 415, "picture_type"},
	} {
		a := s.call("PUT", "/me/picture", ada, tt.body, "Content-Type", tt.contentType)
		if a.status != tt.status {
			t.Errorf("%s: %d %s", tt.name, a.status, a.body)
			continue
		}
		a.refused(tt.status, tt.code)
	}
	if u, err := s.store.User(t.Context(), "ada"); err != nil || u.Picture != "" {
		t.Errorf("after refused pictures: version %q (%v)", u.Picture, err)
	}
}

// A person who is blocked goes on seeing the picture of the time of the block, and cannot get a later one.
func TestPictureForTheBlocked(t *testing.T) {
	s := newSystem(t)
	ada, bob := s.token(s.user("ada")), s.token(s.user("bob"))
	_, root := s.admin("root1")
	old := s.putPicture(ada, "lossy.webp")
	s.call("PUT", "/me/blocked/bob", ada, nil).must(200, nil)
	now := s.putPicture(ada, "alpha.webp")
	s.save("ada", "bob", "hello")
	for _, path := range []string{"/users/ada", "/users/batch?uid=ada", "/conversations"} {
		if a := s.call("GET", path, bob, nil).must(200, nil); !strings.Contains(string(a.body), old) ||
			strings.Contains(string(a.body), now) {
			t.Errorf("%s for the blocked: %s", path, a.body)
		}
	}
	s.call("GET", "/users/ada/picture/"+old, bob, nil).must(200, nil)
	s.call("GET", "/users/ada/picture/"+now, bob, nil).refused(404, "picture_not_found")
	for _, token := range []string{ada, root} {
		s.call("GET", "/users/ada/picture/"+now, token, nil).must(200, nil)
		s.call("GET", "/users/ada/picture/"+old, token, nil).refused(404, "picture_not_found")
	}
	s.call("DELETE", "/me/blocked/bob", ada, nil).must(200, nil)
	s.call("GET", "/users/ada/picture/"+now, bob, nil).must(200, nil)
	s.call("GET", "/users/ada/picture/"+old, bob, nil).refused(404, "picture_not_found")
}

func TestPictureIsExportedAndErased(t *testing.T) {
	s := newSystem(t)
	s.account("ada")
	ada, bob := s.token("ada"), s.token(s.user("bob"))
	version := s.putPicture(ada, "lossy.webp")
	a := s.call("GET", "/users/ada/picture/"+version, bob, nil).must(200, nil)
	var export struct {
		Profile struct{ Picture string }
		Picture struct{ Version, Type, Data string }
	}
	s.call("GET", "/me/export", ada, nil).must(200, &export)
	if data, err := base64.StdEncoding.DecodeString(export.Picture.Data); err != nil || !bytes.Equal(data, a.body) ||
		export.Picture.Type != "image/webp" || export.Picture.Version != version || export.Profile.Picture != version {
		t.Errorf("exported %+v (%v)", export, err)
	}
	s.call("DELETE", "/me", ada, nil).must(204, nil)
	s.call("GET", "/users/ada/picture/"+version, bob, nil).refused(404, "picture_not_found")
	if _, err := s.store.Picture(context.Background(), "ada", version); err == nil {
		t.Error("the picture of a deleted user is stored")
	}
}

func TestAdminRemovesPicture(t *testing.T) {
	s := newSystem(t)
	_, root := s.admin("root1")
	version := s.putPicture(s.token(s.user("bob")), "lossy.webp")
	var u struct{ Picture string }
	s.call("GET", "/admin/users/bob", root, nil).must(200, &u)
	if u.Picture != version {
		t.Errorf("the admin sees the version %q", u.Picture)
	}
	s.call("PATCH", "/admin/users/bob", root, form{"picture": "other"}).refused(422, "invalid_fields")
	s.call("PATCH", "/admin/users/bob", root, form{"picture": "", "reason": "a report"}).must(200, &u)
	s.audited("root1 remove_picture bob a report")
	s.call("GET", "/users/bob/picture/"+version, root, nil).refused(404, "picture_not_found")
}

func TestPictureBudget(t *testing.T) {
	s := newSystem(t)
	ada := s.token(s.user("ada"))
	for range 20 {
		s.putPicture(ada, "lossy.webp")
	}
	body := string(picture("alpha.webp").Data)
	s.call("PUT", "/me/picture", ada, body, "Content-Type", "image/webp").refused(429, "rate_limited")
	s.call("DELETE", "/me/picture", ada, nil).must(200, nil)
	s.clock.advance(time.Hour)
	s.putPicture(s.token("ada"), "alpha.webp")
}
