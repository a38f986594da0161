package operator

import (
	"flag"
	"testing"
)

// Behind a load balancer, the chat has another address than the audience that it expects.
func TestRealtimeAudience(t *testing.T) {
	var r Realtime
	f := flag.NewFlagSet("test", flag.ContinueOnError)
	r.AddFlags(f)
	if err := f.Parse([]string{"-url", "https://chat.example.org", "-audience", "https://chat.run.app"}); err != nil {
		t.Fatal(err)
	}
	o := r.options("acme-chat")
	if o.URL != "https://chat.example.org" || o.Audience != "https://chat.run.app" {
		t.Errorf("calls %s with tokens for %s", o.URL, o.Audience)
	}
	if k, ok := o.Tokens.(*tokens); !ok || k.account != "chat-admin@acme-chat.iam.gserviceaccount.com" {
		t.Errorf("the tokens are %+v", o.Tokens)
	}
}
