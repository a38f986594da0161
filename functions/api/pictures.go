package api

import (
	"context"
	"errors"

	"github.com/phoenixchat/phoenixchat/functions/picture"
	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

var errNoPicture = problem.New(problem.NotFound, "picture_not_found", "This picture does not exist.")

// getPicture returns a picture under the version that the caller sees in the profile: somebody who is blocked sees the
// picture of the time of the block. The address of a picture has its version, so browsers may keep it for ever.
func (a *API) getPicture(ctx context.Context, r *request) (*response, error) {
	uid, version := r.http.PathValue("uid"), r.http.PathValue("version")
	if !chat.ValidUID(uid) {
		return nil, errNoPicture
	}
	u := r.user
	if uid != u.UID {
		var err error
		if u, err = a.deps.Store.User(ctx, uid); err != nil {
			return nil, noPicture(err)
		}
	}
	shown := u.PictureFor(r.user.UID)
	if r.seesAll() {
		shown = u.Picture
	}
	if u.ErasingAt != 0 || shown == "" || shown != version {
		return nil, errNoPicture
	}
	p, err := a.deps.Store.Picture(ctx, uid, version)
	if err != nil {
		return nil, noPicture(err)
	}
	return &response{picture: &p}, nil
}

func noPicture(err error) error {
	if errors.Is(err, problem.ErrNotFound) {
		return errNoPicture.WithCause(err)
	}
	return err
}

// putPicture makes the body the caller's picture.
func (a *API) putPicture(ctx context.Context, r *request) (*response, error) {
	p, err := picture.Clean(r.http.Header.Get("Content-Type"), r.body)
	if err != nil {
		return nil, err
	}
	return a.setPicture(ctx, r, &p)
}

func (a *API) deletePicture(ctx context.Context, r *request) (*response, error) {
	return a.setPicture(ctx, r, nil)
}

func (a *API) setPicture(ctx context.Context, r *request, p *store.Picture) (*response, error) {
	u, err := a.users.SetPicture(ctx, r.user.UID, p)
	if err != nil {
		return nil, err
	}
	return ok(a.ownFor(r, u)), nil
}
