package terraform

import "testing"

// readBack lists arguments that the provider always reads back, although they are optional and not computed. Each
// must be set to what the provider reads. Otherwise every plan removes it, and no plan is ever empty.
//
// No mock and no schema shows this. The table was made with the provider 7.45 and a second plan after an apply. The
// pipeline's step "unchanged" runs such a plan after each deploy. To add an argument that it reports, add a row here.
var readBack = []struct {
	address string
	path    []any
	value   any
	reason  string
}{
	{"google_identity_platform_config.this", []any{"sign_in", 0, "phone_number", 0, "enabled"}, false,
		"flattenIdentityPlatformConfigSignInPhoneNumber makes the block even if Google's answer lacks it"},
	{"google_identity_platform_config.this", []any{"sign_in", 0, "anonymous", 0, "enabled"}, false,
		"flattenIdentityPlatformConfigSignInAnonymous makes the block even if Google's answer lacks it"},
	{"google_identity_platform_config.this", []any{"sign_in", 0, "email", 0, "enabled"}, true,
		"flattenIdentityPlatformConfigSignInEmail makes the block even if Google's answer lacks it"},
	{"google_pubsub_subscription.persist", []any{"push_config", 0, "attributes", "x-goog-version"}, "v1",
		"Google answers with the version of its API if none is set"},
}

func TestReadBack(t *testing.T) {
	s := applied(t)
	for _, r := range readBack {
		if got := at(s.one(t, r.address).Values, r.path...); got != r.value {
			t.Errorf("%s: %v is %v, want %v: %s", r.address, r.path, got, r.value, r.reason)
		}
	}
}
