// Package probe reports what a running realtime has allocated. infra/load adds it to the program at build time, so the
// program that is deployed does not contain it.
package probe

import (
	"encoding/json"
	"log"
	"net/http"
	"net/http/pprof"
	"os"
	"runtime/metrics"
)

// Env names the environment variable with the address (host:port) at which an instance serves its figures.
const Env = "PHOENIX_LOAD_PROBE"

// Figures are totals since the process started.
type Figures struct {
	Objects uint64 `json:"objects"` // allocated
	Bytes   uint64 `json:"bytes"`   // allocated
}

// An import is all that infra/load can add to a program without changing its source.
func init() {
	addr := os.Getenv(Env)
	if addr == "" {
		return
	}
	go func() { log.Println("probe:", http.ListenAndServe(addr, Handler())) }()
}

// Handler serves Figures at / and profiles at /debug/pprof/.
func Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(Read()) // an error means that the caller has disconnected
	})
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	return mux
}

// Read returns the figures of this process. It does not stop the program.
func Read() Figures {
	s := []metrics.Sample{{Name: "/gc/heap/allocs:objects"}, {Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(s)
	return Figures{Objects: s[0].Value.Uint64(), Bytes: s[1].Value.Uint64()}
}
