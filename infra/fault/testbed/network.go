package testbed

import (
	"context"
	"fmt"
	"strings"
	"sync"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

// link is a network connection that can be cut, slowed and deafened: a TCP
// proxy of toxiproxy's library in this process.
type link struct {
	mu    sync.Mutex
	proxy *toxiproxy.Proxy
	bad   []string // names of the toxics in place
}

// newLink returns a link to upstream.
func newLink(name, upstream string) (*link, error) {
	owner := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), zerolog.Nop()) // never listens
	l := &link{proxy: toxiproxy.NewProxy(owner, name, "127.0.0.1:0", upstream)}
	if err := l.proxy.Start(); err != nil {
		return nil, fmt.Errorf("proxy to %s: %w", upstream, err)
	}
	return l, nil
}

// addr is where the link listens.
func (l *link) addr() string { return l.proxy.Listen }

// cut closes all connections and refuses new ones until heal.
func (l *link) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.proxy.Stop()
}

// slow delays everything by ms milliseconds, give or take a third, each way.
func (l *link) delay(ms int) error {
	return l.add("latency", fmt.Sprintf(`{"latency":%d,"jitter":%d}`, ms, ms/3))
}

// deafen lets connections stand, and nothing through.
func (l *link) dropBytes() error { return l.add("timeout", `{"timeout":0}`) }

func (l *link) add(kind, attributes string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, stream := range []string{"upstream", "downstream"} {
		name := kind + "-" + stream
		spec := fmt.Sprintf(`{"name":%q,"type":%q,"stream":%q,"toxicity":1,"attributes":%s}`, name, kind, stream, attributes)
		if _, err := l.proxy.Toxics.AddToxicJson(strings.NewReader(spec)); err != nil {
			return fmt.Errorf("%s on %s: %w", kind, l.proxy.Name, err)
		}
		l.bad = append(l.bad, name)
	}
	return nil
}

// heal undoes cut, slow and deafen. Connections that were deaf end, since what
// was sent on them is gone.
func (l *link) heal() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, name := range l.bad {
		if err := l.proxy.Toxics.RemoveToxic(context.Background(), name); err != nil {
			return fmt.Errorf("heal %s: %w", l.proxy.Name, err)
		}
	}
	l.bad = nil
	if !l.proxy.Enabled {
		return l.proxy.Start()
	}
	return nil
}

// point leads the link to another server; its connections end.
func (l *link) redirect(upstream string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.proxy.Update(&toxiproxy.Proxy{Listen: l.proxy.Listen, Upstream: upstream, Enabled: true})
}
