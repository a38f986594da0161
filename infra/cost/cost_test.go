package cost

import (
	"context"
	"fmt"
	"log/slog"
	"math"
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
	"github.com/phoenixchat/phoenixchat/infra/internal/redisinfo"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/delivery"
	"github.com/phoenixchat/phoenixchat/realtime/identity"
	"github.com/phoenixchat/phoenixchat/realtime/inbox"
	"github.com/phoenixchat/phoenixchat/realtime/redistest"
	"github.com/phoenixchat/phoenixchat/realtime/server"
	"github.com/phoenixchat/phoenixchat/realtime/testwait"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// The pace of the chat, and the limits for each message at that pace.
const (
	maxConnecting = 32 // users that connect at the same time; this test is not about many at once

	maxWrites    = 2.5
	maxPublished = 0.25
	maxCalls     = 0.25
	maxTrips     = 4.0
	maxScripts   = 9.0  // most of them compare inboxes every 30 s, refresh presence, and settle read marks
	maxInside    = 72.0 // calls inside scripts
)

// The check of a sender's totals after a message was accounted for late (realtime/inbox/late.go). How many messages are
// late depends on how busy this machine is, so the limits for a message do not include it.
const (
	lateTrips   = 3
	lateScripts = 2
	lateInside  = 14
)

// The limits of the work of Redis for a message alone: of 150 pairs who write four messages a second and read none.
// Each answer of Redis takes a millisecond more, as over the network of a data center: calls share a round trip when
// another one is in flight, and otherwise the result would depend on how fast this machine is.
const (
	busyDistance = time.Millisecond

	busyPairs    = 150
	busyMessages = 20                     // of each pair
	busyInterval = 250 * time.Millisecond // between two messages of a pair

	maxBusyTrips   = 1.5
	maxBusyScripts = 2.3
	maxBusyInside  = 24.0
)

// TestPaidOperationsPerMessage lets a thousand pairs of users chat on one instance. Each pair exchanges a message
// every 20 s. Two of three messages are read immediately, because the conversation is open, and the third some
// seconds later. A read mark that is settled with the message costs no extra document. A later one costs one. All users
// have a device that is registered for push, and they look at the one that is connected, so nobody is notified.
func TestPaidOperationsPerMessage(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	meter := NewMeter()
	srv, url, rdb := serve(t, meter)
	users := make([]*user, 2*pairs)
	var read atomic.Int64 // messages that their senders see as read
	for i := range len(users) + maxConnecting {
		if i < len(users) {
			users[i] = connect(t, url, i, client.Read, &read)
		}
		if i < maxConnecting {
			continue
		}
		select {
		case <-users[i-maxConnecting].up:
		case <-time.After(time.Minute):
			t.Fatalf("user %d is not connected after a minute", i-maxConnecting)
		}
	}
	// waitSettled waits until n messages are read and all their effects are settled. Read marks are batched for 2 s.
	waitSettled := func(n int64) {
		t.Helper()
		testwait.Until(t, fmt.Sprintf("%d messages to be read and settled", n), func() bool {
			return read.Load() == n && srv.Counters().Settle.Waiting.Load() == 0
		})
	}
	acquaint(t, rdb)
	chatOnce(t, users, interval*time.Second/4) // the first message to a user reads their gate, once a day
	waitSettled(pairs)
	redisBefore := readRedis(t, rdb)
	before, trips, late := meter.Counts(), meter.Trips(), srv.Counters().Inbox.Late.Load()
	sent := chatOnce(t, users, interval*time.Second)
	waitSettled(2 * pairs)
	used := meter.Counts().Sub(before)
	late = srv.Counters().Inbox.Late.Load() - late
	redisAfter := readRedis(t, rdb)
	per := func(n int64) float64 { return float64(n) / float64(sent) }
	scripts := (redisAfter.Scripts() - redisBefore.Scripts()) / float64(sent)
	inside := (redisAfter.Inside()-redisBefore.Inside())/float64(sent) - per(used.Commands)
	t.Logf("per message, over %d messages: %.2f documents written, %.2f read, %.3f published, "+
		"%.3f calls of functions, %.2f round trips, %.2f scripts, %.1f calls inside scripts, %.2f late",
		sent, per(used.Writes), per(used.Reads), per(used.Published), per(used.Calls), per(used.Trips), scripts, inside,
		per(late))
	for name, n := range meter.Trips() {
		if n -= trips[name]; n > 0 {
			t.Logf("  %-28s %.2f", name, per(n))
		}
	}
	if got := delivered(users); got < 2*pairs { // both rounds
		t.Errorf("%d messages were delivered, want %d", got, 2*pairs)
	}
	for _, c := range []struct {
		what string
		got  float64
		most float64
	}{
		{"documents written", per(used.Writes), maxWrites},
		{"documents read", per(used.Reads), 0},
		{"messages published", per(used.Published), maxPublished},
		{"messages published for notify", per(used.Notified), 0},
		{"calls of functions", per(used.Calls), maxCalls},
		{"round trips to Redis", per(used.Trips), maxTrips + lateTrips*per(late)},
		{"Redis scripts", scripts, maxScripts + lateScripts*per(late)},
		{"calls inside scripts", inside, maxInside + lateInside*per(late)},
	} {
		if c.got > c.most {
			t.Errorf("%s per message: %.3f, want at most %.3f", c.what, c.got, c.most)
		}
	}
	// The bill in the runbook is computed with these numbers (bill.go).
	for _, c := range []struct {
		what        string
		got, billed float64
		share       float64 // how much the two may differ, as a share of the billed number
	}{
		{"documents written", per(used.Writes), MeasuredWrites, 0.03},
		{"messages published", per(used.Published), MeasuredPublished, 0.3},
		{"messages published, by the rate of an instance", per(used.Published), publishedPerMessage(MeasuredRate), 0.3},
	} {
		if math.Abs(c.got-c.billed) > c.share*c.billed {
			t.Errorf("%s per message: %.3f, but the bill is computed with %.3f", c.what, c.got, c.billed)
		}
	}
	if scripts < 1 || inside < scripts {
		t.Errorf("%.2f scripts with %.1f calls: the statistics of Redis are not read properly", scripts, inside)
	}
}

// TestRedisWorkPerMessage bounds what Redis does for a message, at a pace at which nothing else counts.
func TestRedisWorkPerMessage(t *testing.T) {
	if testing.Short() {
		t.Skip("takes six seconds")
	}
	meter := NewMeter()
	srv, url, rdb := serve(t, meter, distance(busyDistance))
	// As if an instance had swept already. A sweep costs a script for each inbox, once an hour, and the first one would
	// come while the users of a slow machine still talk.
	if err := rdb.Set(t.Context(), "sweep", "1", time.Hour).Err(); err != nil {
		t.Fatal(err)
	}
	users := make([]*user, 2*busyPairs)
	var delivered atomic.Int64 // messages that their senders see as delivered
	for i := range users {
		users[i] = connect(t, url, i, client.Delivered, &delivered)
	}
	for _, u := range users {
		<-u.up
	}
	waitSettled := func(n int64) {
		t.Helper()
		testwait.Until(t, fmt.Sprintf("%d messages to be delivered and settled", n), func() bool {
			return delivered.Load() == n && srv.Counters().Settle.Waiting.Load() == 0
		})
	}
	talk(t, users, 2) // an answer lifts the limits of strangers, and the first messages read gates
	waitSettled(2 * busyPairs)
	redisBefore, before, lateBefore := readRedis(t, rdb), meter.Counts(), srv.Counters().Inbox.Late.Load()
	talk(t, users, busyMessages)
	waitSettled((2 + busyMessages) * busyPairs)
	redisAfter, used := readRedis(t, rdb), meter.Counts().Sub(before)
	const sent = busyMessages * busyPairs
	late := float64(srv.Counters().Inbox.Late.Load()-lateBefore) / sent
	trips := float64(used.Trips) / sent
	scripts := (redisAfter.Scripts() - redisBefore.Scripts()) / sent
	inside := (redisAfter.Inside() - redisBefore.Inside() - float64(used.Commands)) / sent
	t.Logf("per message, over %d messages: %.2f round trips, %.2f scripts, %.1f calls inside scripts, %.2f late",
		sent, trips, scripts, inside, late)
	for _, c := range []struct {
		what      string
		got, most float64
	}{
		{"round trips", trips, maxBusyTrips + lateTrips*late},
		{"scripts", scripts, maxBusyScripts + lateScripts*late},
		{"calls inside scripts", inside, maxBusyInside + lateInside*late},
	} {
		if c.got > c.most {
			t.Errorf("%s per message: %.2f, want at most %.2f", c.what, c.got, c.most)
		}
	}
}

// talk lets each pair exchange messages, one after the other.
func talk(t *testing.T, users []*user, messages int) {
	var all sync.WaitGroup
	for i := 0; i < len(users); i += 2 {
		all.Go(func() {
			<-time.After(time.Duration(i) * busyInterval / time.Duration(len(users))) // pairs do not write in step
			for n := range messages {
				from, to := i+n%2, i+1-n%2
				users[from].Write(uid(to), fmt.Sprintf("hello from %d", from), "")
				select {
				case <-users[to].shown:
				case <-time.After(time.Minute):
					t.Errorf("user %d saw no message within a minute", to)
					return
				}
				<-time.After(busyInterval) // the test is about the pace
			}
		})
	}
	all.Wait()
}

// readRedis reads the statistics of Redis with a client that the Meter does not see.
func readRedis(t *testing.T, c redis.UniversalClient) redisinfo.Stats {
	t.Helper()
	s, err := redisinfo.Read(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// acquaint makes the users of each pair have written to each other, as almost all pairs have. Otherwise nobody would
// see that their message is read.
func acquaint(t *testing.T, c redis.UniversalClient) {
	t.Helper()
	for i := range 2 * pairs {
		if err := c.HSet(t.Context(), "peers:{"+uid(i)+"}", uid(i^1), 3).Err(); err != nil {
			t.Fatal(err)
		}
	}
}

// chatOnce lets each pair exchange one message at a random time within over. It returns when all messages are read.
func chatOnce(t *testing.T, users []*user, over time.Duration) (sent int) {
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
			<-time.After(at) // the test is about the pace
			conversation := chat.ConversationID(uid(from), uid(to))
			users[from].Write(uid(to), fmt.Sprintf("hello from %d", from), "")
			select {
			case <-users[to].shown:
			case <-time.After(time.Minute):
				t.Errorf("user %d saw no message within a minute", to)
				return
			}
			<-time.After(later)
			if place, unseen := users[to].Store().Unseen(conversation); unseen {
				users[to].Seen(conversation, place)
			}
		})
	}
	all.Wait()
	return pairs
}

// delivered counts the messages that their senders see as delivered or read.
func delivered(users []*user) (n int) {
	for i, p := range users {
		for _, l := range p.Store().Conversation(chat.ConversationID(uid(i), uid(i^1))) {
			if l.From == uid(i) && l.State >= client.Delivered {
				n++
			}
		}
	}
	return n
}

func uid(i int) string { return fmt.Sprintf("user%05d", i) }

const project = "cost"

// noCalls is the realtime service as persist sees it, which must not call it.
type noCalls struct{ t *testing.T }

func (n noCalls) Corrected(context.Context, []delivery.Delivered) error {
	n.t.Error("persist called realtime/")
	return nil
}

func (n noCalls) OwnProfileChanged(context.Context, string) error {
	n.t.Error("persist called realtime/")
	return nil
}

// serve starts one instance with stand-ins that count. It returns the instance, the URL of its WebSocket, and another
// client of its Redis that the hooks do not see.
func serve(t *testing.T, meter *Meter, hooks ...redis.Hook) (*server.Server, string, redis.UniversalClient) {
	r := redistest.Single(t)
	opts := inbox.Tune(&redis.UniversalOptions{Addrs: r.Addrs})
	rdb := redis.NewUniversalClient(opts)
	rdb.AddHook(meter)
	for _, h := range hooks {
		rdb.AddHook(h)
	}
	db, err := storebolt.Open(filepath.Join(t.TempDir(), "store.db"), storebolt.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	archive := Archive{db, meter}
	quiet := slog.New(slog.DiscardHandler)
	save := persist.New(persist.Deps{Store: archive, DeadLetters: deadletter.Local{Store: archive}, Realtime: noCalls{t},
		Log: quiet})
	verifier, err := identity.NewEmulator(project, func(name string) string {
		return map[string]string{"FIREBASE_AUTH_EMULATOR_HOST": "in this process"}[name]
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	srv, err := server.New(server.Deps{
		Redis: rdb, Gates: Gates{meter}, Publisher: Publisher{meter, save}, Notify: Notifier{meter},
		Verifier: verifier, Log: quiet,
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
	return srv, "ws" + strings.TrimPrefix(web.URL, "http") + "/ws", r.Client(t, nil)
}

// distance is a redis.Hook that delays each answer.
type distance time.Duration

func (distance) DialHook(next redis.DialHook) redis.DialHook { return next }

func (d distance) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		<-time.After(time.Duration(d))
		return err
	}
}

func (d distance) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		<-time.After(time.Duration(d))
		return err
	}
}

// user is a user with one device.
type user struct {
	*client.Client
	up    chan struct{} // connected
	shown chan struct{} // a message from the other user is on the screen
}

// connect starts a user's device. It increments n for each own message that reaches the state.
func connect(t *testing.T, url string, i int, state client.State, n *atomic.Int64) *user {
	p := &user{up: make(chan struct{}, 1), shown: make(chan struct{}, 8)}
	p.Client = client.New(client.NewStore(uid(i), "phone"), client.Options{
		Dial: func(ctx context.Context) (client.Conn, error) {
			d := websocket.Dialer{Subprotocols: []string{wire.Subprotocol},
				ReadBufferSize: 1 << 10, WriteBufferSize: 1 << 10}
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
		History: emptyHistory{},
		Looking: true,
		Rand:    rand.New(rand.NewPCG(1, uint64(i))),
		Note: func(note client.Note) {
			switch {
			case note.NoteKind == client.NoteUp:
				select {
				case p.up <- struct{}{}:
				default:
				}
			case note.NoteKind == client.NoteShown && note.Message.To == uid(i):
				p.shown <- struct{}{}
			case note.NoteKind == client.NoteState && note.State == state:
				n.Add(1)
			}
		},
	})
	t.Cleanup(p.Kill)
	return p
}

// emptyHistory is an empty history, because this test does not count the cost of loading the history.
type emptyHistory struct{}

func (emptyHistory) Conversations(context.Context) ([]client.Conversation, error) { return nil, nil }
func (emptyHistory) Messages(context.Context, string, string, int) (client.Page, error) {
	return client.Page{}, nil
}
func (emptyHistory) Message(context.Context, string, string) (m delivery.Delivered, saved bool, err error) {
	return m, false, nil
}
func (emptyHistory) Changed(context.Context, chat.Micros) ([]delivery.Delivered, bool, error) {
	return nil, false, nil
}

func TestMain(m *testing.M) { os.Exit(redistest.Main(m).Run()) }
