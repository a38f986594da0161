package bare

import "testing"

func TestAfter(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"1700000000000-0", "", true},
		{"1700000000001-0", "1700000000000-9", true},
		{"1700000000000-10", "1700000000000-9", true},
		{"1700000000000-1", "1700000000000-1", false},
		{"1700000000000-9", "1700000000000-10", false},
		{"1700000000000-9", "1700000000001-0", false},
	} {
		if got := after(c.a, c.b); got != c.want {
			t.Errorf("after(%q, %q) = %v", c.a, c.b, got)
		}
	}
}
