package stack

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/phoenixchat/phoenixchat/infra/authstub"
)

// front serves the address of the whole system and passes each request to the part that handles it. While Start is
// still building the parts, it asks callers to try again.
type front struct {
	// Prefixes of the paths for Pub/Sub's pushes. They are secret, because pushes are not authenticated otherwise.
	pushPath   string // to persist
	notifyPath string

	routes atomic.Pointer[routes]
	next   atomic.Uint64
}

// routes has the handlers that front passes requests to.
type routes struct {
	auth      http.Handler // nil if a Firebase Auth emulator is used
	push      http.Handler
	notify    http.Handler
	instances []*Instance
	config    []byte // the client configuration of this address
}

func newFront() *front {
	return &front{pushPath: "/local/push/" + rand.Text() + "/", notifyPath: "/local/notify/" + rand.Text() + "/"}
}

// open starts passing on requests.
func (f *front) open(auth, push, notify http.Handler, instances []*Instance, c frontConfig) error {
	config, err := json.Marshal(c)
	if err != nil {
		return err
	}
	f.routes.Store(&routes{auth, push, notify, instances, config})
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
	case strings.HasPrefix(path, f.notifyPath):
		to.notify.ServeHTTP(w, r)
	case path == "/config.json":
		// An instance would answer with its own address. With the front's, sockets are spread over all instances.
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		_, _ = w.Write(to.config) // an error means that the caller has disconnected
	default:
		f.pick(to.instances).ServeHTTP(w, r)
	}
}

// pick returns the next instance that is not draining, in round-robin order.
func (f *front) pick(instances []*Instance) *Instance {
	n := uint64(len(instances))
	first := f.next.Add(1)
	for i := range n {
		if in := instances[(first+i)%n]; !in.draining.Load() {
			return in
		}
	}
	return instances[0] // it answers that it is draining
}
