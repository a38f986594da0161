// Package clientaddr finds the address of a client behind trusted proxies, and the networks by which limits count it.
// Both services use it, so that they agree on where a request came from.
package clientaddr

import (
	"net/http"
	"net/netip"
	"strings"
)

// Of returns the address of the client that sent r. The given number of trusted proxies is between the client and this
// process, and each of them appends the address of its peer to X-Forwarded-For. (Cloud Run's front end is one proxy; an
// external load balancer in front of it is another one.) So the entry of that number from the right, over all lines of
// the header, is the client. Everything before it was written by the client itself, and is ignored.
//
// With 0 proxies, and if the header has too few entries or the entry is not an address, the result is the address of
// the connection. It is the zero Addr if that is not an IP address either. An IPv4-mapped IPv6 address becomes an IPv4
// address, and a zone is dropped. A port is dropped, too: some load balancers append one.
func Of(r *http.Request, proxies int) netip.Addr {
	if proxies > 0 {
		// Values, not Get: a client that sends the header twice must not choose which line is read.
		entries := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
		if len(entries) >= proxies {
			if a := parse(strings.TrimSpace(entries[len(entries)-proxies])); a.IsValid() {
				return a
			}
		}
	}
	return parse(r.RemoteAddr)
}

// parse parses an address with or without port, brackets and zone. It returns the zero Addr for anything else.
func parse(s string) netip.Addr {
	a, err := netip.ParseAddr(s)
	if err != nil {
		if inner, ok := strings.CutPrefix(s, "["); ok && strings.HasSuffix(inner, "]") {
			a, err = netip.ParseAddr(strings.TrimSuffix(inner, "]"))
		}
	}
	if err != nil {
		p, err := netip.ParseAddrPort(s)
		if err != nil {
			return netip.Addr{}
		}
		a = p.Addr()
	}
	return a.Unmap().WithZone("")
}

// Networks returns the networks of a for limits. All addresses of near belong to one household or host: a provider
// assigns a whole /64 to each IPv6 customer. All addresses of far belong to one site or provider: a /48 is the largest
// block that a customer usually gets, and a /24 the smallest that is routed. The networks of the zero Addr are zero.
func Networks(a netip.Addr) (near, far netip.Prefix) {
	nearBits, farBits := 64, 48
	if a = a.Unmap().WithZone(""); a.Is4() {
		nearBits, farBits = 32, 24
	}
	// Prefix fails only for the zero Addr, and then returns the zero Prefix.
	near, _ = a.Prefix(nearBits)
	far, _ = a.Prefix(farBits)
	return near, far
}
