package api

import (
	"context"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

var errPrivacy = problem.New(problem.Invalid, "privacy_invalid", "This choice is not known. Reload the page.")

// putPrivacy replaces the caller's privacy, and answers with the new one. It may be repeated.
func (a *API) putPrivacy(ctx context.Context, r *request) (*response, error) {
	var in struct {
		LastSeen     string `json:"last_seen"`
		ReadReceipts *bool  `json:"read_receipts"`
		Writers      string `json:"writers"`
		Findable     string `json:"findable"`
	}
	if err := r.decode(&in); err != nil {
		return nil, err
	}
	if in.ReadReceipts == nil {
		return nil, errPrivacy
	}
	p, err := chat.PrivacyForm{LastSeen: in.LastSeen, ReadReceipts: *in.ReadReceipts, Writers: in.Writers,
		Findable: in.Findable}.Privacy()
	if err != nil {
		return nil, errPrivacy.WithCause(err)
	}
	u, err := a.users.SetPrivacy(ctx, r.user.UID, p)
	if err != nil {
		return nil, err
	}
	return ok(u.Privacy), nil
}
