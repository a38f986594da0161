// Package bare is the least relay that keeps a message until its recipient has it: gorilla/websocket, go-redis, and one
// script that appends to a stream. An ack deletes the entry. It knows no sign-in, gates, limits, receipts or archive.
// infra/load runs it beside realtime, so that the figures of realtime can be given as ratios, which depend less on the
// machine.
//
// A client opens /?u=USER and sends "m NUMBER RECIPIENT BODY" or "a ENTRY". The relay answers the first with "s NUMBER"
// when the message is queued. It sends the recipient "d ENTRY BODY" until an ack names the entry.
package bare

import (
	"context"
	"errors"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"

	"github.com/gorilla/websocket"
	"github.com/redis/go-redis/v9"
)

// Options configure a relay.
type Options struct {
	Addr  string `json:"addr"`  // listen address
	Redis string `json:"redis"` // host:port
}

// appendScript adds a message to the recipient's stream and wakes the instance that has the recipient's socket.
var appendScript = redis.NewScript(`
local id = redis.call('XADD', KEYS[1], '*', 'b', ARGV[1])
redis.call('PUBLISH', KEYS[1], id .. ' ' .. ARGV[1])
return id`)

func streamKey(user string) string { return "bare:{" + user + "}" }

// relay is one instance.
type relay struct {
	rdb      *redis.Client
	pipe     *pipe
	pubsub   *redis.PubSub
	upgrader websocket.Upgrader

	order sync.Mutex // held while sockets and the subscriptions change, so that both change in the same order

	mu      sync.Mutex
	sockets map[string]*socket // by stream; guarded by mu
}

// Run serves until ctx ends.
func Run(ctx context.Context, o Options) error {
	rdb := redis.NewClient(&redis.Options{Protocol: 2, Addr: o.Redis})
	defer rdb.Close()
	if err := appendScript.Load(ctx, rdb).Err(); err != nil {
		return err
	}
	r := &relay{rdb: rdb, pipe: newPipe(ctx, rdb), pubsub: rdb.Subscribe(ctx), sockets: map[string]*socket{},
		upgrader: websocket.Upgrader{ReadBufferSize: 1 << 10, WriteBufferSize: 1 << 10, WriteBufferPool: &sync.Pool{},
			CheckOrigin: func(*http.Request) bool { return true }}}
	defer r.pubsub.Close()
	l, err := net.Listen("tcp", o.Addr)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: r}
	defer context.AfterFunc(ctx, func() { server.Close() })()
	go r.receive(ctx)
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// receive passes on what Redis publishes to the streams of this instance's users.
func (r *relay) receive(ctx context.Context) {
	for {
		got, err := r.pubsub.Receive(ctx)
		if err != nil {
			if ctx.Err() == nil {
				log.Fatalln("bare: subscription:", err)
			}
			return
		}
		switch m := got.(type) {
		case *redis.Subscription:
			if s := r.socket(m.Channel); s != nil && m.Kind == "subscribe" {
				s.confirmed.Do(func() { close(s.subscribed) })
			}
		case *redis.Message:
			if s := r.socket(m.Channel); s != nil {
				id, body, _ := strings.Cut(m.Payload, " ")
				s.deliver(id, body)
			}
		}
	}
}

func (r *relay) socket(stream string) *socket {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sockets[stream]
}

// ServeHTTP serves one socket.
func (r *relay) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	if q.URL.Path == "/health/ready" {
		return
	}
	stream := streamKey(q.URL.Query().Get("u"))
	conn, err := r.upgrader.Upgrade(w, q, nil)
	if err != nil {
		return
	}
	s := &socket{conn: conn, subscribed: make(chan struct{})}
	if err := r.enter(q.Context(), stream, s); err != nil {
		log.Fatalln("bare: subscribe:", err)
	}
	if err := r.serve(q.Context(), stream, s); err != nil {
		log.Println("bare:", err)
	}
	conn.Close()
	r.leave(stream, s)
}

// enter makes s the socket of a stream. A user has one socket.
func (r *relay) enter(ctx context.Context, stream string, s *socket) error {
	r.order.Lock()
	defer r.order.Unlock()
	r.mu.Lock()
	r.sockets[stream] = s
	r.mu.Unlock()
	return r.pubsub.Subscribe(ctx, stream)
}

// leave ends the subscription of a stream whose socket was s.
func (r *relay) leave(stream string, s *socket) {
	r.order.Lock()
	defer r.order.Unlock()
	r.mu.Lock()
	last := r.sockets[stream] == s
	if last {
		delete(r.sockets, stream)
	}
	r.mu.Unlock()
	if last {
		_ = r.pubsub.Unsubscribe(context.Background(), stream) // receive ends the process if the connection broke
	}
}

// serve sends what waits, and then reads until the socket ends.
func (r *relay) serve(ctx context.Context, stream string, s *socket) error {
	select {
	case <-s.subscribed:
	case <-ctx.Done():
		return nil
	}
	waiting, err := r.rdb.XRange(ctx, stream, "-", "+").Result()
	if err != nil {
		return err
	}
	for _, e := range waiting {
		body, _ := e.Values["b"].(string)
		s.deliver(e.ID, body)
	}
	s.write("r")
	for {
		_, frame, err := s.conn.ReadMessage()
		if err != nil {
			return nil // the client has gone
		}
		kind, rest, _ := strings.Cut(string(frame), " ")
		if kind == "a" {
			r.pipe.do(nil, "XDEL", stream, rest)
			continue
		}
		number, rest, _ := strings.Cut(rest, " ")
		to, body, _ := strings.Cut(rest, " ")
		r.pipe.do(func(err error) {
			if err != nil {
				log.Fatalln("bare: append:", err)
			}
			s.write("s " + number)
		}, "EVALSHA", appendScript.Hash(), 1, streamKey(to), body)
	}
}

// socket is one WebSocket. Its methods may be called concurrently.
type socket struct {
	conn       *websocket.Conn
	confirmed  sync.Once
	subscribed chan struct{} // closed when Redis has confirmed the subscription

	mu   sync.Mutex
	last string // newest entry that was sent; guarded by mu
}

// deliver sends an entry, unless it was sent before: an entry may be both in the stream and published.
func (s *socket) deliver(id, body string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !after(id, s.last) {
		return
	}
	s.last = id
	_ = s.conn.WriteMessage(websocket.TextMessage, []byte("d "+id+" "+body)) // the reader sees that the socket broke
}

func (s *socket) write(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.conn.WriteMessage(websocket.TextMessage, []byte(text)) // likewise
}

// after reports whether stream id a is above b. Milliseconds have the same number of digits for centuries.
func after(a, b string) bool {
	ams, aseq, _ := strings.Cut(a, "-")
	bms, bseq, _ := strings.Cut(b, "-")
	if ams != bms {
		return ams > bms
	}
	return len(aseq) > len(bseq) || len(aseq) == len(bseq) && aseq > bseq
}
