package openfiles

import (
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	if err := Check(0); err != nil {
		t.Error(err)
	}
	if err := check(1000, 1000+spare); err != nil {
		t.Errorf("exactly as many as the limit: %v", err)
	}
	if err := check(1000, 1000); err == nil || !strings.Contains(err.Error(), "ulimit -Hn 1500") {
		t.Errorf("more than the limit: %v", err)
	}
}
