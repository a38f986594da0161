package redistest

import (
	"strings"
	"testing"
)

// The warning names the program whose tests do not run, and what to set.
func TestWarning(t *testing.T) {
	if got := warning("inbox.test"); !strings.Contains(got, "inbox.test") || !strings.Contains(got, envServer) {
		t.Errorf("%q", got)
	}
}
