package crowd

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// relayText is the protocol of the bare relay (package bare). Its users have one device.
type relayText struct{ target Target }

func (p relayText) address(d *device) (string, http.Header) {
	return "ws://" + p.target.Addrs[d.instance()] + "/?u=" + uid(d.user), nil
}

func (relayText) greeting(*device) ([]byte, error) { return nil, nil }

// message makes a frame whose body begins with n.
func (relayText) message(n uint32, _, to string, _ time.Time, body []byte) []byte {
	f := fmt.Appendf(make([]byte, 0, 64+len(body)), "m %08x %s %08x", n, to, n)
	return append(f, body[min(8, len(body)):]...)
}

func (relayText) frame(d *device, data []byte) (up bool) {
	kind, rest, _ := bytes.Cut(data, []byte(" "))
	fact := uint32(accepted)
	switch string(kind) {
	case "r":
		return true
	case "s":
	case "d":
		entry, body, _ := bytes.Cut(rest, []byte(" "))
		d.write(append([]byte("a "), entry...))
		fact, rest = received, body
	default:
		d.crowd.ledger.bad.Add(1)
		return false
	}
	n, err := strconv.ParseUint(string(rest[:min(8, len(rest))]), 16, 32)
	if err != nil {
		d.crowd.ledger.bad.Add(1)
		return false
	}
	d.crowd.ledger.learn(uint32(n), fact)
	return false
}
