package api

import (
	"context"
	"strings"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/logging"
	"github.com/phoenixchat/phoenixchat/realtime/prober"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// probe lets the prober sign in as its two users, whom the first call creates. It needs no password that could
// leak: the caller is known by the ID token of its service account, and the only users whom it can become are the
// prober's own.
//
// The prober calls every few minutes, so the call also reports the figures that the admin panel shows.
func (a *API) probe(ctx context.Context, r *request) (*response, error) {
	if a.deps.Probers == nil {
		return nil, errRoute
	}
	scheme, token, _ := strings.Cut(r.http.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" || len(token) > maxToken {
		return nil, problem.ErrUnauthenticated
	}
	if _, err := a.deps.Probers.VerifyService(ctx, token); err != nil {
		return nil, err
	}
	var out prober.Answer
	for _, uid := range []string{prober.A, prober.B} {
		u, err := a.users.Prober(ctx, uid)
		if err != nil {
			return nil, err
		}
		token, err := a.users.SignInToken(ctx, u)
		if err != nil {
			return nil, err
		}
		out.Users = append(out.Users, prober.User{UID: u.UID, Username: u.Username, Token: token})
	}
	a.reportFigures(ctx)
	return ok(out), nil
}

// reportFigures logs the figures of the admin panel. Cloud Logging makes metrics of the line
// (infra/terraform/metrics.tf). A figure that cannot be counted is left out.
func (a *API) reportFigures(ctx context.Context) {
	now := a.deps.Now().UTC()
	today := now.Truncate(24 * time.Hour)
	figures := map[string]int64{}
	count := func(name string, n int64, err error) {
		if err != nil {
			a.deps.Log.WarnContext(ctx, "counting a figure failed", "figure", name, "error", err)
			return
		}
		figures[name] = n
	}
	all, active, err := a.deps.Store.CountUsers(ctx, micros(today))
	count("people", all, err)
	count("active_today", active, err)
	n, err := a.deps.Store.MessagesOn(ctx, today.Format(time.DateOnly))
	count("messages_today", n, err)
	n, err = a.deps.Store.CountDeadLetters(ctx)
	count("dead_letters", n, err)
	f, err := a.deps.Realtime.Figures(ctx)
	sockets := int64(0)
	for _, n := range f.Sockets {
		sockets += n
	}
	count("sockets", sockets, err)
	count("queued", f.Queued, err)
	count("oldest_age_ms", f.OldestAge, err)
	a.deps.Log.InfoContext(logging.Always(ctx), "figures", "figures", figures)
}
