package storetest

import (
	"context"
	"testing"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// pictured stores a picture with this content as that of uid.
func pictured(t *testing.T, s store.Store, uid, content string) store.Picture {
	t.Helper()
	p := store.NewPicture("image/webp", []byte(content))
	u, err := s.SetPicture(context.Background(), uid, &p)
	must(t, err)
	equal(t, "the version of "+uid, u.Picture, p.Version)
	return p
}

// hasPicture checks whether a picture is stored.
func hasPicture(t *testing.T, s store.Store, uid string, p store.Picture, want bool) {
	t.Helper()
	got, err := s.Picture(context.Background(), uid, p.Version)
	if !want {
		mustBe(t, err, problem.ErrNotFound)
		return
	}
	must(t, err)
	equal(t, "the picture of "+uid, got, p)
}

func testPictures(t *testing.T, s store.Store) {
	ctx := context.Background()
	addUser(t, s, "ada", "Ada", t0)
	addUser(t, s, "bob", "Bob", t0)
	one := pictured(t, s, "ada", "one")
	hasPicture(t, s, "ada", one, true)
	hasPicture(t, s, "bob", one, false)
	u, err := s.User(ctx, "ada")
	must(t, err)
	equal(t, "the stored version", u.Picture, one.Version)
	found, _, err := s.Search(ctx, store.Search{Limit: 5})
	must(t, err)
	equal(t, "the version in a list", found[0].Picture, one.Version)

	pictured(t, s, "ada", "one") // a repetition changes nothing
	hasPicture(t, s, "ada", one, true)
	two := pictured(t, s, "ada", "two")
	hasPicture(t, s, "ada", one, false)
	hasPicture(t, s, "ada", two, true)
	pictured(t, s, "bob", "two") // the same content is another picture
	for range 2 {
		u, err = s.SetPicture(ctx, "ada", nil)
		must(t, err)
		equal(t, "the version after the removal", u.Picture, "")
		hasPicture(t, s, "ada", two, false)
	}
	hasPicture(t, s, "bob", two, true)
	for _, uid := range []string{"nobody", "../x", ""} {
		if uid != "" {
			_, err = s.SetPicture(ctx, uid, nil)
			if err == nil {
				t.Errorf("SetPicture(%q) succeeds", uid)
			}
		}
		for _, version := range []string{"x", "../x", ""} {
			_, err = s.Picture(ctx, uid, version)
			mustBe(t, err, problem.ErrNotFound)
		}
	}
}

// Blocked people go on seeing the picture of the time of the block, and it is deleted when nobody sees it any more.
func testFrozenPictures(t *testing.T, s store.Store) {
	ctx := context.Background()
	for _, n := range []string{"ada", "bob", "cyd", "dan", "eve", "fay"} {
		addUser(t, s, n, n, t0)
	}
	block := func(uid string, blocked bool) {
		t.Helper()
		_, err := s.SetBlocked(ctx, "ada", uid, blocked)
		must(t, err)
	}
	sees := func(uid string, p store.Picture) {
		t.Helper()
		u, err := s.User(ctx, "ada")
		must(t, err)
		equal(t, "what "+uid+" sees", u.PictureFor(uid), p.Version)
	}
	one := pictured(t, s, "ada", "one")
	block("bob", true)
	two := pictured(t, s, "ada", "two")
	block("cyd", true)
	name := "Ada L."
	_, err := s.Rename(ctx, "ada", nil, &name, t0, false)
	must(t, err)
	three := pictured(t, s, "ada", "three")
	sees("bob", one)
	sees("cyd", two)
	sees("dan", three)
	for _, p := range []store.Picture{one, two, three} {
		hasPicture(t, s, "ada", p, true)
	}
	block("bob", false)
	sees("bob", three)
	hasPicture(t, s, "ada", one, false)
	hasPicture(t, s, "ada", two, true)

	// Only the newest are kept.
	block("dan", true)
	four := pictured(t, s, "ada", "four")
	block("eve", true)
	five := pictured(t, s, "ada", "five")
	hasPicture(t, s, "ada", two, true)
	block("fay", true)
	_, err = s.SetPicture(ctx, "ada", nil)
	must(t, err)
	sees("cyd", store.Picture{})
	hasPicture(t, s, "ada", two, false)
	for uid, p := range map[string]store.Picture{"dan": three, "eve": four, "fay": five} {
		sees(uid, p)
		hasPicture(t, s, "ada", p, true)
	}
}

func testPicturesErased(t *testing.T, s store.Store) {
	ctx := context.Background()
	addUser(t, s, "ada", "Ada", t0)
	addUser(t, s, "bob", "Bob", t0)
	one := pictured(t, s, "ada", "one")
	_, err := s.SetBlocked(ctx, "ada", "bob", true)
	must(t, err)
	two := pictured(t, s, "ada", "two")
	_, err = s.BeginErase(ctx, "ada", t0)
	must(t, err)
	late := store.NewPicture("image/jpeg", []byte("late"))
	_, err = s.SetPicture(ctx, "ada", &late)
	mustBe(t, err, problem.ErrNotFound)
	must(t, s.EraseContent(ctx, "ada"))
	must(t, s.FinishErase(ctx, "ada", t0))
	for _, p := range []store.Picture{one, two, late} {
		hasPicture(t, s, "ada", p, false)
	}
}
