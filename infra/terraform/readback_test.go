package terraform

import (
	"strings"
	"testing"
)

// readBack lists arguments that the provider always reads back, although they are optional and not computed. Each
// must be set to what the provider reads. Otherwise every plan removes it, and no plan is ever empty.
//
// No mock and no schema shows this. Two things lead to it:
//
//   - The provider makes a block although Google's answer lacks it. Of all types in this configuration, the sources of
//     the provider 7.45 do so only for the first two rows: no other function flatten… makes a block of nil.
//   - Google answers with a default of its own. The other rows were found by a second plan (TestSecondPlan).
//
// The pipeline's step "unchanged" runs a second plan after each deploy. To add an argument that it reports, add a row
// here. TestReadBack checks a row for every resource of the type that has the block.
var readBack = []struct {
	kind   string
	path   []any
	value  any // nil: any value
	reason string
}{
	{"google_identity_platform_config", []any{"sign_in", 0, "phone_number", 0, "enabled"}, false,
		"flattenIdentityPlatformConfigSignInPhoneNumber makes the block even if Google's answer lacks it"},
	{"google_identity_platform_config", []any{"sign_in", 0, "email", 0, "enabled"}, true,
		"flattenIdentityPlatformConfigSignInEmail makes the block even if Google's answer lacks it"},
	{"google_identity_platform_config", []any{"sign_in", 0, "anonymous", 0, "enabled"}, false,
		"Google answers with an empty object if nothing is set"},
	{"google_pubsub_subscription", []any{"push_config", 0, "attributes", "x-goog-version"}, "v1",
		"Google answers with the version of its API if none is set"},
	{"google_logging_metric", []any{"bucket_options", 0, "exponential_buckets", 0, "num_finite_buckets"}, nil,
		"Google chooses the buckets of a distribution if none are set"},
}

func TestReadBack(t *testing.T) {
	s := applied(t)
	for _, r := range readBack {
		n := 0
		for _, resource := range s.of(r.kind) {
			if r.kind == "google_pubsub_subscription" && at(resource.Values, "push_config", 0) == nil ||
				r.kind == "google_logging_metric" && text(resource, "metric_descriptor", 0, "value_type") != "DISTRIBUTION" {
				continue
			}
			n++
			if got := at(resource.Values, r.path...); got == nil || r.value != nil && got != r.value {
				t.Errorf("%s: %v is %v, want %v: %s", resource.Address, r.path, got, r.value, r.reason)
			}
		}
		if n == 0 {
			t.Errorf("nothing has %s %v", r.kind, r.path)
		}
	}
	// The cost cap's subscription is not in this state.
	for name, text := range map[string]string{"cap.tf": read(t, "cap.tf"), "pubsub.tf": read(t, "pubsub.tf")} {
		if pushes := strings.Count(text, "push_config {"); pushes != strings.Count(text, `x-goog-version = "v1"`) {
			t.Errorf("%s has %d push_config blocks, and not all of them set x-goog-version", name, pushes)
		}
	}
}
