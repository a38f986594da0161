package stack

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/phoenixchat/phoenixchat/infra/authstub"
	"github.com/phoenixchat/phoenixchat/realtime/server"
)

// front answers on the address of the whole system. While Start still builds
// what it leads to, it asks callers to come again.
type front struct {
	pushPath string // begins the path of pushes; secret, since nothing else keeps others from pushing

	routes atomic.Pointer[routes]
	next   atomic.Uint64
}

// routes is where front leads to.
type routes struct {
	auth      http.Handler // nil with an emulator of its own
	push      http.Handler
	instances []*Instance
	config    []byte // of the client, where sockets spread over several instances
}

func newFront() *front { return &front{pushPath: "/local/push/" + rand.Text() + "/"} }

// open lets callers in.
func (f *front) open(auth, push http.Handler, instances []*Instance, c server.ClientConfig) error {
	config, err := json.Marshal(c)
	if err != nil {
		return err
	}
	f.routes.Store(&routes{auth, push, instances, config})
	return nil
}

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	to := f.routes.Load()
	switch path := r.URL.Path; {
	case to == nil:
		w.Header().Set("Retry-After", "1")
		http.Error(w, "The chat is starting. Try again in a moment.", http.StatusServiceUnavailable)
	case to.auth != nil && authstub.Serves(path):
		to.auth.ServeHTTP(w, r)
	case strings.HasPrefix(path, f.pushPath):
		to.push.ServeHTTP(w, r)
	case path == "/config.json" && len(to.instances) > 1:
		// Each instance tells its own address; here sockets spread over all.
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		_, _ = w.Write(to.config) // the caller is gone: nothing to do
	default:
		f.pick(to.instances).ServeHTTP(w, r)
	}
}

// pick returns the next instance in turn that is not draining.
func (f *front) pick(instances []*Instance) *Instance {
	n := uint64(len(instances))
	first := f.next.Add(1)
	for i := range n {
		if in := instances[(first+i)%n]; !in.draining.Load() {
			return in
		}
	}
	return instances[0] // it says itself that it goes away
}
