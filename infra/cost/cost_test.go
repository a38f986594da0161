package cost

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/gorilla/websocket"
	"github.com/redis/go-redis/v9"

	"github.com/phoenixchat/phoenixchat/functions/deadletter"
	"github.com/phoenixchat/phoenixchat/functions/persist"
	"github.com/phoenixchat/phoenixchat/functions/store/storebolt"
	"github.com/phoenixchat/phoenixchat/infra/client"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/identity"
	"github.com/phoenixchat/phoenixchat/realtime/inbox"
	"github.com/phoenixchat/phoenixchat/realtime/redistest"
	"github.com/phoenixchat/phoenixchat/realtime/server"
	"github.com/phoenixchat/phoenixchat/realtime/testwait"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// The pace of a chat, and what a message may cost at it.
const (
	pairs    = 1000
	arriving = 32               // at once: a herd of them is another test
	interval = 20 * time.Second // between two messages of a pair

	maxWrites    = 2.5
	maxPublished = 0.25
	maxCalls     = 0.25
	maxTrips     = 5.0
)

// A thousand pairs chat on one instance, each with a message every 20 s, which
// the other reads: two of three at once, since the conversation is open, the third
// some seconds later. What that takes is what a deployment pays for. A mark that
// comes with the message costs no document of its own, a later one costs one.
func TestPaidOperationsPerMessage(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	meter := NewMeter()
	srv, url := serve(t, meter)
	people := make([]*person, 2*pairs)
	var read atomic.Int64 // own messages that their senders see read
	for i := range len(people) + arriving {
		if i < len(people) {
			people[i] = connect(t, url, i, &read)
		}
		if i < arriving {
			continue
		}
		select {
		case <-people[i-arriving].up:
		case <-time.After(time.Minute):
			t.Fatalf("person %d is not connected after a minute", i-arriving)
		}
	}
	// rest waits for all that follows from n messages. Marks are gathered for 2 s.
	rest := func(n int64) {
		t.Helper()
		testwait.Until(t, fmt.Sprintf("%d messages are read, and nothing waits to be settled", n), func() bool {
			return read.Load() == n && srv.Counters().Settle.Waiting.Load() == 0
		})
	}
	chatOnce(t, people, interval/4) // fills the gates: the first message to a person reads theirs, once a day
	rest(pairs)
	before, trips := meter.Counts(), meter.Trips()
	sent := chatOnce(t, people, interval)
	rest(2 * pairs)
	took := meter.Counts().Sub(before)
	per := func(n int64) float64 { return float64(n) / float64(sent) }
	t.Logf("per message, over %d messages: %.2f documents written, %.2f read, %.3f published, %.3f calls of functions, %.2f round trips",
		sent, per(took.Writes), per(took.Reads), per(took.Published), per(took.Calls), per(took.Trips))
	for name, n := range meter.Trips() {
		if n -= trips[name]; n > 0 {
			t.Logf("  %-28s %.2f", name, per(n))
		}
	}
	if got := delivered(people); got < 2*pairs { // both rounds
		t.Errorf("%d messages were delivered, want %d", got, 2*pairs)
	}
	for _, c := range []struct {
		what string
		got  float64
		most float64
	}{
		{"documents written", per(took.Writes), maxWrites},
		{"documents read", per(took.Reads), 0},
		{"messages published", per(took.Published), maxPublished},
		{"calls of functions", per(took.Calls), maxCalls},
		{"round trips to Redis", per(took.Trips), maxTrips},
	} {
		if c.got > c.most {
			t.Errorf("%s per message: %.3f, at most %.3f wanted", c.what, c.got, c.most)
		}
	}
}

// chatOnce has each pair exchange one message at some time within over, and
// returns when the recipients have looked at them.
func chatOnce(t *testing.T, people []*person, over time.Duration) (sent int) {
	rnd := rand.New(rand.NewPCG(7, 7))
	var all sync.WaitGroup
	for i := range pairs {
		from, to := 2*i, 2*i+1
		if rnd.IntN(2) == 0 {
			from, to = to, from
		}
		at := time.Duration(rnd.Int64N(int64(over)))
		later := time.Duration(0)
		if i%3 == 0 {
			later = time.Second + time.Duration(rnd.Int64N(int64(3*time.Second)))
		}
		all.Go(func() {
			<-time.After(at) // the pace is what is measured
			conversation := chat.ConversationID(uid(from), uid(to))
			people[from].Write(uid(to), fmt.Sprintf("hello from %d", from), "")
			select {
			case <-people[to].shown:
			case <-time.After(time.Minute):
				t.Errorf("person %d was not shown a message for a minute", to)
				return
			}
			<-time.After(later)
			if place, unseen := people[to].Store().Unseen(conversation); unseen {
				people[to].Seen(conversation, place)
			}
		})
	}
	all.Wait()
	return pairs
}

// delivered counts own messages that were delivered or read.
func delivered(people []*person) (n int) {
	for i, p := range people {
		for _, l := range p.Store().Conversation(chat.ConversationID(uid(i), uid(i^1))) {
			if l.From == uid(i) && l.State >= client.Delivered {
				n++
			}
		}
	}
	return n
}

func uid(i int) string { return fmt.Sprintf("person%05d", i) }

const project = "paid"

// serve starts one instance with counting stand-ins, and returns it and its WebSocket's URL.
func serve(t *testing.T, meter *Meter) (*server.Server, string) {
	r := redistest.Single(t)
	opts := inbox.Tune(&redis.UniversalOptions{Addrs: r.Addrs})
	rdb := redis.NewUniversalClient(opts)
	rdb.AddHook(meter)
	db, err := storebolt.Open(filepath.Join(t.TempDir(), "store.db"), storebolt.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	archive := Archive{db, meter}
	quiet := slog.New(slog.DiscardHandler)
	save := persist.New(persist.Deps{Store: archive, DeadLetters: deadletter.Local{Store: archive}, Log: quiet})
	verifier, err := identity.NewEmulator(project, func(name string) string {
		return map[string]string{"FIREBASE_AUTH_EMULATOR_HOST": "in this process"}[name]
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	srv, err := server.New(server.Deps{
		Redis: rdb, Gates: Gates{meter}, Publisher: Publisher{meter, save}, Verifier: verifier, Log: quiet,
		Origins: []string{"https://chat.example.org"}, MaxSockets: 3 * pairs,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = srv.Run(ctx) })
	web := httptest.NewServer(srv)
	t.Cleanup(func() {
		web.CloseClientConnections()
		web.Close()
		cancel()
		wg.Wait()
		_ = rdb.Close()
		_ = db.Close()
	})
	return srv, "ws" + strings.TrimPrefix(web.URL, "http") + "/ws"
}

// person is a person with one device.
type person struct {
	*client.Client
	up    chan struct{} // connected
	shown chan struct{} // a message of the other is on the screen
}

// connect starts a person's device; read counts own messages that are read.
func connect(t *testing.T, url string, i int, read *atomic.Int64) *person {
	p := &person{up: make(chan struct{}, 1), shown: make(chan struct{}, 8)}
	p.Client = client.New(client.NewStore(uid(i), "phone"), client.Options{
		Dial: func(ctx context.Context) (client.Conn, error) {
			d := websocket.Dialer{Subprotocols: []string{wire.Subprotocol}, ReadBufferSize: 1 << 10, WriteBufferSize: 1 << 10}
			conn, resp, err := d.DialContext(ctx, url, map[string][]string{"Origin": {"https://chat.example.org"}})
			if resp != nil && resp.Body != nil {
				resp.Body.Close()
			}
			if err != nil {
				return nil, err
			}
			return conn, nil
		},
		Token: func(context.Context) (string, time.Time, error) {
			now := time.Now().Add(-5 * time.Second)
			token, err := jwt.NewWithClaims(jwt.SigningMethodNone, jwt.MapClaims{
				"iss": "https://securetoken.google.com/" + project, "aud": project, "sub": uid(i),
				"iat": now.Unix(), "auth_time": now.Unix(), "exp": now.Add(time.Hour).Unix(),
			}).SignedString(jwt.UnsafeAllowNoneSignatureType)
			return token, now.Add(time.Hour), err
		},
		History: nothing{},
		Rand:    rand.New(rand.NewPCG(1, uint64(i))),
		Note: func(n client.Note) {
			switch {
			case n.NoteKind == client.NoteUp:
				select {
				case p.up <- struct{}{}:
				default:
				}
			case n.NoteKind == client.NoteShown && n.Message.To == uid(i):
				p.shown <- struct{}{}
			case n.NoteKind == client.NoteState && n.State == client.Read:
				read.Add(1)
			}
		},
	})
	t.Cleanup(p.Kill)
	return p
}

// nothing is a history without an entry: what it would cost to load one is not
// part of a message's way.
type nothing struct{}

func (nothing) Conversations(context.Context) ([]client.Conversation, error) { return nil, nil }
func (nothing) Messages(context.Context, string, string, int) (client.Page, error) {
	return client.Page{}, nil
}

func TestMain(m *testing.M) { os.Exit(redistest.Main(m).Run()) }
