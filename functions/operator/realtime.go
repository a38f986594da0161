package operator

import (
	"context"
	"flag"
	"fmt"
	"sync"

	"golang.org/x/oauth2"
	"google.golang.org/api/impersonate"

	"github.com/phoenixchat/phoenixchat/realtime/internalapi"
)

// Realtime says where the realtime service of a project is, and as whom a command calls it. The person who runs the
// command needs the role Service Account OpenID Connect Identity Token Creator on that service account.
type Realtime struct {
	URL      string
	Audience string // of the tokens; "": URL
	Account  string // "": chat-admin of the project, the account of the admin function
}

// AddFlags adds the flags that choose the service.
func (r *Realtime) AddFlags(f *flag.FlagSet) {
	f.StringVar(&r.URL, "url", "", "`URL` of the chat, with -project")
	f.StringVar(&r.Audience, "audience", "",
		"`audience` that the chat expects of tokens, with -project: its setting INTERNAL_AUDIENCE (default: -url)")
	f.StringVar(&r.Account, "account", "",
		"service `account` to call the chat as, with -project (default: chat-admin of the project)")
}

// Client returns a client of the service of a project.
func (r Realtime) Client(project string) *internalapi.Client {
	return internalapi.NewClient(r.options(project))
}

func (r Realtime) options(project string) internalapi.ClientOptions {
	account := r.Account
	if account == "" {
		account = "chat-admin@" + project + ".iam.gserviceaccount.com"
	}
	return internalapi.ClientOptions{URL: r.URL, Audience: r.Audience, Tokens: &tokens{account: account}}
}

// tokens returns ID tokens of a service account that the caller may impersonate. It is an internalapi.TokenSource.
type tokens struct {
	account string

	once   sync.Once
	source oauth2.TokenSource
	err    error
}

// Token implements internalapi.TokenSource. All tokens are for the audience of the first one.
func (k *tokens) Token(_ context.Context, audience string) (string, error) {
	k.once.Do(func() {
		// The source outlives the request, so it does not use the request's context.
		k.source, k.err = impersonate.IDTokenSource(context.Background(),
			impersonate.IDTokenConfig{Audience: audience, TargetPrincipal: k.account, IncludeEmail: true})
	})
	if k.err != nil {
		return "", fmt.Errorf("id token of %s: %w", k.account, k.err)
	}
	t, err := k.source.Token()
	if err != nil {
		return "", fmt.Errorf("id token of %s: %w", k.account, err)
	}
	return t.AccessToken, nil
}
