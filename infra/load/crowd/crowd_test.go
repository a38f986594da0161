package crowd

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/goleak"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// relay is a bare relay in this process that can treat the third message badly.
type relay struct {
	bad string // "lose", "double" or "refuse"; "": nothing

	mu       sync.Mutex
	sockets  map[string]*websocket.Conn // guarded by mu, and so are writes
	messages int
}

func (r *relay) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	conn, err := (&websocket.Upgrader{}).Upgrade(w, q, nil)
	if err != nil {
		return
	}
	defer conn.Close()
	r.mu.Lock()
	r.sockets[q.URL.Query().Get("u")] = conn
	_ = conn.WriteMessage(websocket.TextMessage, []byte("r"))
	r.mu.Unlock()
	for {
		_, frame, err := conn.ReadMessage()
		if err != nil {
			return
		}
		part := strings.SplitN(string(frame), " ", 4)
		if part[0] == "m" {
			r.relay(conn, part[1], part[2], part[3])
		}
	}
}

func (r *relay) relay(from *websocket.Conn, number, to, body string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.messages++
	copies := 1
	if r.messages == 3 {
		switch r.bad {
		case "lose":
			copies = 0
		case "double":
			copies = 2
		case "refuse":
			_ = from.WriteMessage(websocket.TextMessage, []byte("no"))
			return
		}
	}
	_ = from.WriteMessage(websocket.TextMessage, []byte("s "+number))
	for range copies {
		_ = r.sockets[to].WriteMessage(websocket.TextMessage, []byte("d 1-1 "+body))
	}
}

// start connects two users to a relay.
func start(t *testing.T, bad string) *Crowd {
	t.Helper()
	server := httptest.NewServer(&relay{bad: bad, sockets: map[string]*websocket.Conn{}})
	t.Cleanup(server.Close)
	c, err := New(Options{Devices: 1,
		Target: Target{Addrs: []string{strings.TrimPrefix(server.URL, "http://")}, Bare: true}})
	if err != nil {
		t.Fatal(err)
	}
	c.Grow(2)
	t.Cleanup(c.HangUp)
	if h, err := c.Connect(t.Context(), 0); err != nil || h.Count() != 2 {
		t.Fatalf("%d devices are up, %v", h.Count(), err)
	}
	return c
}

// A message that is lost, doubled or refused makes Check fail.
func TestCheck(t *testing.T) {
	for bad, want := range map[string]string{
		"": "", "lose": "messages received: 9 instead of 10", "double": "doubled: 1", "refuse": "frames that should not come",
	} {
		c := start(t, bad)
		w := c.OpenWindow()
		Steady{Rate: 200, Body: 50}.Run(t.Context(), c, 50*time.Millisecond) // ten messages
		err := c.Settled(t.Context(), 200*time.Millisecond)
		if got := c.Totals(); got.Messages != 10 || (err == nil) != (want == "") {
			t.Errorf("%q: %+v, %v", bad, got, err)
		}
		if err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", bad, err, want)
		}
		if n := w.Event.Count(); bad == "" && (n != 10 || w.Sent.Count() != 10) {
			t.Errorf("%d latencies of 10 messages", n)
		}
	}
}

// A socket that the server closes makes Check fail. One that the device closes does not.
func TestBrokenSockets(t *testing.T) {
	c := start(t, "")
	c.HangUp()
	if err := c.Check(); err != nil {
		t.Error(err)
	}
	if _, err := c.Connect(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	d := c.users[0][0]
	d.mu.Lock()
	ended := d.reader
	_ = d.conn.WriteControl(websocket.CloseMessage, nil, time.Now().Add(time.Second))
	d.mu.Unlock()
	<-ended
	if err := c.Check(); err == nil || !strings.Contains(err.Error(), "broken sockets: 1") {
		t.Errorf("a broken socket: %v", err)
	}
}

// Each count must be exactly what the messages cause.
func TestComplete(t *testing.T) {
	right := Totals{Messages: 10, Accepted: 10, Arrived: 10, Received: 20, Echoed: 10, Receipts: 20, ReceiptsAgain: 3}
	if err := right.complete(2, false); err != nil {
		t.Errorf("what two devices cause: %v", err)
	}
	for name, change := range map[string]func(*Totals){
		"accepted": func(t *Totals) { t.Accepted-- }, "received": func(t *Totals) { t.Received-- },
		"echoed": func(t *Totals) { t.Echoed-- }, "receipts": func(t *Totals) { t.Receipts-- },
		"doubled": func(t *Totals) { t.Doubled++ }, "bad": func(t *Totals) { t.Bad++ },
		"broken": func(t *Totals) { t.Broken++ },
	} {
		wrong := right
		change(&wrong)
		if wrong.complete(2, false) == nil {
			t.Errorf("another number of %s is accepted", name)
		}
	}
}

func TestLedger(t *testing.T) {
	l := &ledger{start: time.Now()}
	n := l.add(0)
	for _, fact := range []uint32{accepted, accepted, received << 1, received << 1, received, echoed << 1, receipt,
		receipt} {
		l.learn(n, fact)
	}
	l.learn(n+1, received) // no such message
	want := Totals{Accepted: 1, Arrived: 1, Received: 2, Echoed: 1, Receipts: 1, ReceiptsAgain: 1, Doubled: 1, Bad: 1}
	if got := l.totals(); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestHistogram(t *testing.T) {
	var h Histogram
	if h.Quantile(0.5) != 0 {
		t.Error("an empty histogram has a median")
	}
	for i := range 1000 {
		h.add(time.Duration(i+1) * time.Millisecond)
	}
	for q, want := range map[float64]time.Duration{0.5: 500, 0.99: 990, 0.999: 999} {
		want *= time.Millisecond
		if got := h.Quantile(q); got < want*98/100 || got > want*102/100 {
			t.Errorf("quantile %v is %v, want about %v", q, got, want)
		}
	}
}

// The frames of realtime, of which the crowd reads only some fields.
func TestRealtimeFrames(t *testing.T) {
	c, err := New(Options{Devices: 2, Reads: true})
	if err != nil {
		t.Fatal(err)
	}
	c.Grow(2)
	p := c.protocol.(chatV1)
	n := c.ledger.add(0)
	send := p.message(n, uid(0), uid(1), time.UnixMilli(1795347732200), []byte("hello"))
	id, _ := field(send, `"id":"`)
	if got, ok := number(id); !ok || got != n || !chat.ValidMessageID(string(id)) {
		t.Errorf("message id %s", id)
	}
	message := func(kind string) string {
		return `{"type":"event","cursor":"e:1-0","event":{"type":"` + kind + `","id":"` + string(id) + `","from":"` + uid(0) +
			`","body":"\"id\":\"no\"","at":5}}`
	}
	sender, recipient := c.users[0], c.users[1]
	p.frame(sender[0], []byte(`{"type":"sent","id":"`+string(id)+`","accepted_at":1}`))
	p.frame(sender[0], []byte(message("sent")))
	p.frame(sender[1], []byte(message("sent")))
	for _, d := range recipient {
		p.frame(d, []byte(message("message")))
		if d.cursor != "e:1-0" {
			t.Errorf("cursor %q", d.cursor)
		}
		d.hangUp() // stops the timer of the ack
	}
	for _, d := range sender {
		p.frame(d, []byte(`{"type":"event","cursor":"e:2-0","event":{"type":"delivered","messages":[{"id":"`+string(id)+
			`"}]}}`))
	}
	want := Totals{Accepted: 1, Arrived: 1, Received: 2, Echoed: 1, Receipts: 2}
	if got := c.Totals(); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	p.frame(sender[0], []byte(`{"type":"goaway","reason":"drain","within_ms":1}`))
	if got := c.Totals().Bad; got != 1 {
		t.Errorf("%d bad frames after a goaway, want 1", got)
	}

	at, ok := c.marks.next(1, 0)
	if _, again := c.marks.next(1, 0); at != 5 || !ok || again {
		t.Errorf("the mark is %d, %v, and again %v", at, ok, again)
	}
	for i, d := range sender {
		if n := c.marks.missing(2); n != int64(2-i) {
			t.Errorf("%d devices miss the mark, want %d", n, 2-i)
		}
		p.frame(d, []byte(`{"type":"event","cursor":"e:3-0","event":{"type":"read","by":"`+uid(1)+`","at":5}}`))
	}
	if n := c.marks.missing(2); n != 0 {
		t.Errorf("%d devices miss the mark", n)
	}
}

// A chat has the rate that was asked for, with typing before each message and read marks after bursts.
func TestChatPlan(t *testing.T) {
	const rate, over = 200, 5 * time.Minute
	users := ChatUsersFor(rate)
	actions := Chat{Rate: rate, Seed: 1}.plan(Ring(users), over)
	var count [3]int
	last := time.Duration(0)
	for _, a := range actions {
		count[a.kind]++
		if a.at < last || a.at >= over {
			t.Fatalf("an action at %v after one at %v", a.at, last)
		}
		last = a.at
	}
	if got := float64(count[sendMessage]) / over.Seconds(); got < 0.8*rate || got > 1.25*rate {
		t.Errorf("%.0f messages per second, want about %d", got, rate)
	}
	if bursts := float64(count[sendMessage]) / float64(count[setReadMark]); bursts < 2 || bursts > 4 {
		t.Errorf("bursts have %.1f messages, want about %d", bursts, meanBurst)
	}
	if diff := count[sendMessage] - count[showTyping]; diff < -users || diff > users {
		t.Errorf("%d messages and %d typing frames", count[sendMessage], count[showTyping])
	}
}
