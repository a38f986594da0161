package clientaddr

import (
	"net/http"
	"net/netip"
	"testing"
)

func TestOf(t *testing.T) {
	const peer = "192.0.2.1:5000"
	for _, c := range []struct {
		name    string
		peer    string
		lines   []string // of X-Forwarded-For
		proxies int
		want    string // "": the zero Addr
	}{
		{"no proxy, no header", peer, nil, 0, "192.0.2.1"},
		{"no proxy: the header is the client's", peer, []string{"203.0.113.7"}, 0, "192.0.2.1"},
		{"one proxy", peer, []string{"203.0.113.7"}, 1, "203.0.113.7"},
		{"one proxy, forged entries before it", peer, []string{"1.2.3.4, 5.6.7.8,203.0.113.7"}, 1, "203.0.113.7"},
		{"one proxy, a forged line before it", peer, []string{"1.2.3.4", "203.0.113.7"}, 1, "203.0.113.7"},
		{"two proxies", peer, []string{"1.2.3.4, 203.0.113.7, 198.51.100.1"}, 2, "203.0.113.7"},
		{"two proxies on two lines", peer, []string{"1.2.3.4, 203.0.113.7", "198.51.100.1"}, 2, "203.0.113.7"},
		{"two proxies on three lines", peer, []string{"1.2.3.4", "203.0.113.7", "198.51.100.1"}, 2, "203.0.113.7"},

		{"no header", peer, nil, 1, "192.0.2.1"},
		{"an empty header", peer, []string{""}, 1, "192.0.2.1"},
		{"too few entries", peer, []string{"203.0.113.7"}, 2, "192.0.2.1"},
		{"too few entries on lines", peer, []string{"203.0.113.7", "203.0.113.8"}, 3, "192.0.2.1"},
		{"a name", peer, []string{"203.0.113.7, unknown"}, 1, "192.0.2.1"},
		{"an empty entry", peer, []string{"203.0.113.7, "}, 1, "192.0.2.1"},
		{"an empty line after it", peer, []string{"203.0.113.7", ""}, 1, "192.0.2.1"},
		{"not an address", peer, []string{"203.0.113.700"}, 1, "192.0.2.1"},
		{"a prefix", peer, []string{"203.0.113.0/24"}, 1, "192.0.2.1"},
		{"junk where the client writes", peer, []string{"\x00, ,,;, 203.0.113.7"}, 1, "203.0.113.7"},

		{"IPv6", peer, []string{"2001:DB8::7"}, 1, "2001:db8::7"},
		{"IPv6 in brackets", peer, []string{"[2001:db8::7]"}, 1, "2001:db8::7"},
		{"IPv6 with a port", peer, []string{"[2001:db8::7]:443"}, 1, "2001:db8::7"},
		{"IPv6 with a zone", peer, []string{"fe80::1%eth0"}, 1, "fe80::1"},
		{"IPv6 with zone and port", peer, []string{"[fe80::1%eth0]:443"}, 1, "fe80::1"},
		{"IPv4 with a port", peer, []string{"203.0.113.7:443"}, 1, "203.0.113.7"},
		{"IPv4-mapped", peer, []string{"::ffff:203.0.113.7"}, 1, "203.0.113.7"},
		{"IPv4-mapped in hexadecimal", peer, []string{"::ffff:cb00:7107"}, 1, "203.0.113.7"},
		{"IPv4-mapped with a port", peer, []string{"[::ffff:203.0.113.7]:443"}, 1, "203.0.113.7"},
		{"half a bracket", peer, []string{"[2001:db8::7"}, 1, "192.0.2.1"},

		{"IPv6 connection", "[2001:db8::9]:5000", nil, 0, "2001:db8::9"},
		{"IPv6 connection with a zone", "[fe80::1%lo]:5000", nil, 0, "fe80::1"},
		{"IPv4-mapped connection", "[::ffff:192.0.2.1]:5000", nil, 0, "192.0.2.1"},
		{"a Unix socket", "@", nil, 0, ""},
		{"nothing at all", "", []string{"junk"}, 1, ""},
	} {
		r := &http.Request{RemoteAddr: c.peer, Header: http.Header{"X-Forwarded-For": c.lines}}
		var want netip.Addr
		if c.want != "" {
			want = netip.MustParseAddr(c.want)
		}
		if got := Of(r, c.proxies); got != want {
			t.Errorf("%s: %v, want %v", c.name, got, want)
		}
	}
}

func TestNetworks(t *testing.T) {
	for _, c := range []struct{ addr, near, far string }{
		{"203.0.113.7", "203.0.113.7/32", "203.0.113.0/24"},
		{"::ffff:203.0.113.7", "203.0.113.7/32", "203.0.113.0/24"},
		{"2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64", "2001:db8:1::/48"},
		{"2001:db8:1:2::", "2001:db8:1:2::/64", "2001:db8:1::/48"},
		{"fe80::1%eth0", "fe80::/64", "fe80::/48"},
	} {
		near, far := Networks(netip.MustParseAddr(c.addr))
		if near != netip.MustParsePrefix(c.near) || far != netip.MustParsePrefix(c.far) {
			t.Errorf("%s: %v and %v, want %s and %s", c.addr, near, far, c.near, c.far)
		}
	}
	if near, far := Networks(netip.Addr{}); near != (netip.Prefix{}) || far != (netip.Prefix{}) {
		t.Errorf("the zero Addr: %v and %v", near, far)
	}
}

// The addresses of one /64 share a network, so that a limit per network counts them together.
func TestAddressesOfOneHouseholdShareANetwork(t *testing.T) {
	a, _ := Networks(netip.MustParseAddr("2001:db8:1:2::1"))
	b, _ := Networks(netip.MustParseAddr("2001:db8:1:2:ffff::9"))
	c, far := Networks(netip.MustParseAddr("2001:db8:1:3::1"))
	if a != b {
		t.Errorf("%v and %v differ", a, b)
	}
	if a == c || !far.Contains(a.Addr()) {
		t.Errorf("%v and %v: want other near networks in one far network %v", a, c, far)
	}
}
