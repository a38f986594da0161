package session_test

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/gate"
	"github.com/phoenixchat/phoenixchat/realtime/inbox"
	"github.com/phoenixchat/phoenixchat/realtime/internalapi"
	"github.com/phoenixchat/phoenixchat/realtime/server"
	"github.com/phoenixchat/phoenixchat/realtime/server/servertest"
	"github.com/phoenixchat/phoenixchat/realtime/testwait"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// savedWriters is an inbox.Archive.
type savedWriters struct {
	mu   sync.Mutex
	uids map[string][]string // by conversation
}

func (s *savedWriters) Writers(_ context.Context, conversation string) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.uids[conversation], nil
}

func (s *savedWriters) set(a, b string, writers ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.uids = map[string][]string{chat.ConversationID(a, b): writers}
}

// accept makes uid accept the request of another user, as the functions do, and returns the status.
func accept(t *testing.T, in *servertest.Instance, uid, other string) int {
	t.Helper()
	set := internalapi.Setting{UID: uid, Setting: chat.Setting{Conversation: chat.ConversationID(uid, other),
		Kind: chat.SettingAccept, Choice: chat.Choice{Value: 1, At: chat.MicrosOf(time.Now()),
			ID: uuid.Must(uuid.NewV7()).String()}}}
	return in.Call(t.Context(), http.MethodPost, internalapi.SettingPath, servertest.ServiceToken, set).Code
}

// requestScene is a request of alice to bob, who has a device with push. Both are connected, and alice watches bob.
type requestScene struct {
	t       *testing.T
	rig     *servertest.Rig
	in      *servertest.Instance
	archive *savedWriters
	a, b    *servertest.Socket
}

func request(t *testing.T, fn func(t *testing.T, s *requestScene)) {
	t.Helper()
	archive := &savedWriters{}
	change := func(d *server.Deps) { d.Inboxes = inbox.Options{Archive: archive} }
	bubble(t, change, func(t *testing.T, rig *servertest.Rig, in *servertest.Instance) {
		rig.Gates.Set(bob, gate.Gate{Exists: true, Push: true})
		s := &requestScene{t: t, rig: rig, in: in, archive: archive}
		s.a, s.b = in.Join(t, alice), rig.Start(change).Join(t, bob)
		s.a.Send(wire.ClientFrame{Type: wire.TypeWatch, Users: []string{bob}})
		s.seen("a stranger", wire.Presence{User: bob, Online: true})
		s.a.Send(servertest.Message(bob, "hello"))
		s.seen("the first message", wire.Presence{User: bob})
		_, cursor := servertest.Event[wire.MessageEvent](s.b, wire.EventMessage)
		s.b.Ack(cursor)
		servertest.Event[wire.DeliveredEvent](s.a, wire.EventDelivered)
		fn(t, s)
	})
}

// seen checks the next presence of bob that alice sees.
func (s *requestScene) seen(what string, want wire.Presence) {
	s.t.Helper()
	for {
		f, ok := s.a.Wait(3 * time.Second)
		if p, is := f.(wire.Presence); is || !ok {
			if p != want {
				s.t.Errorf("%s: alice sees %+v, want %+v", what, p, want)
			}
			return
		}
	}
}

// act makes bob type, read everything, and leave and come back. Then alice writes to bob, who is not there.
func (s *requestScene) act() {
	s.t.Helper()
	s.b.Send(wire.ClientFrame{Type: wire.TypeTyping, To: alice})
	testwait.Advance(time.Second)
	mark(s.b, alice)
	testwait.Advance(3 * time.Second)
	s.b.Close()
	testwait.Advance(10 * time.Second)
	s.rig.Notified.Take()
	s.a.Send(servertest.Message(bob, "are you there?"))
	testwait.Advance(5 * time.Second)
	s.b = s.in.Join(s.t, bob)
	testwait.Advance(5 * time.Second)
}

// readEvents returns the read events among events.
func readEvents(t *testing.T, events []wire.EventFrame) (list []wire.ReadEvent) {
	t.Helper()
	for _, f := range events {
		e, err := wire.DecodeEvent(f.Event)
		if err != nil {
			t.Fatal(err)
		}
		if r, ok := e.(wire.ReadEvent); ok {
			list = append(list, r)
		}
	}
	return list
}

// noticed returns what alice got since the last call, and how many pushes bob got.
func (s *requestScene) noticed() (got struct{ typing, read, online, offline, sent, notified int }) {
	for {
		f, _, ok := s.a.TryNext()
		if !ok {
			got.notified = len(s.rig.Notified.Take())
			return got
		}
		switch f := f.(type) {
		case wire.Typing:
			got.typing++
		case wire.Sent:
			got.sent++
		case wire.Presence:
			if f.Online {
				got.online++
			} else {
				got.offline++
			}
		case wire.EventFrame:
			if e, err := wire.DecodeEvent(f.Event); err != nil {
				s.t.Error(err)
			} else if r, is := e.(wire.ReadEvent); is && r.By == bob {
				got.read++
			}
		}
	}
}

// Until bob has answered, alice learns nothing but that her messages were sent and delivered, and bob is not notified.
// An answer and an acceptance end that, on all instances, and her watch list stays as it is.
func TestRequest(t *testing.T) {
	for name, answer := range map[string]func(s *requestScene){
		"answered": func(s *requestScene) { s.b.Say(alice, "hello to you") },
		"accepted": func(s *requestScene) {
			if code := accept(s.t, s.in, bob, alice); code != http.StatusNoContent {
				s.t.Errorf("status %d", code)
			}
		},
		"accepted twice": func(s *requestScene) {
			for range 2 {
				if code := accept(s.t, s.in, bob, alice); code != http.StatusNoContent {
					s.t.Errorf("status %d", code)
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			request(t, func(t *testing.T, s *requestScene) {
				s.act()
				if got := s.noticed(); got.typing+got.read+got.online+got.offline+got.notified != 0 || got.sent != 1 {
					t.Errorf("a request: %+v", got)
				}
				if reads := s.rig.Published.Reads(t); len(reads) != 1 {
					t.Errorf("a request: saved %+v, want the mark, for bob's own devices", reads)
				}
				another, _, events := s.in.Hello(t, bob, "")
				another.Close()
				if own := readEvents(t, events); len(own) != 1 || own[0].By != bob {
					t.Errorf("a request: another device of bob got %+v", own)
				}
				answer(s)
				s.seen(name, wire.Presence{User: bob, Online: true})
				s.act()
				if got := s.noticed(); got.typing != 1 || got.read != 1 || got.online != 1 || got.offline != 1 ||
					got.notified == 0 || got.sent != 1 {
					t.Errorf("%s: %+v", name, got)
				}
			})
		})
	}
}

// An acceptance is an answer also for the limit of messages of a stranger, and for whom bob may write to. It survives a
// loss of Redis, because the archive has it.
func TestAcceptedRequestIsAnAnswer(t *testing.T) {
	request(t, func(t *testing.T, s *requestScene) {
		s.b.Close()
		testwait.Advance(time.Second)
		for range 5 {
			s.a.Say(bob, "x")
		}
		s.a.Send(servertest.Message(bob, "too many"))
		s.a.Refused("answer_awaited")
		if code := accept(t, s.in, bob, alice); code != http.StatusNoContent {
			t.Fatalf("status %d", code)
		}
		s.archive.set(alice, bob, alice, bob)
		s.a.Say(bob, "accepted")
		s.rig.Mini.FlushAll()
		testwait.Advance(time.Minute) // the instances have noticed, and may ask the archive again
		s.a.Close()
		s.a = s.in.Join(t, alice)
		for range 8 {
			s.a.Say(bob, "after a loss")
		}
		s.b = s.in.Join(t, bob)
		s.b.Send(wire.ClientFrame{Type: wire.TypeTyping, To: alice})
		if f := servertest.Until[wire.Typing](s.a); f.From != bob {
			t.Errorf("%+v", f)
		}
		mark(s.b, alice)
		servertest.Event[wire.ReadEvent](s.a, wire.EventRead)
	})
}

// Nobody can accept a request that was not made, whatever they say about it: they could write to new people without a
// limit. An acceptance changes nothing of a block.
func TestBadAcceptance(t *testing.T) {
	request(t, func(t *testing.T, s *requestScene) {
		for what, c := range map[string]struct {
			uid, other string
			code       int
		}{
			"one's own request":           {alice, bob, http.StatusNotFound},
			"no request":                  {bob, carol, http.StatusNotFound},
			"of nobody":                   {bob, "nobodyUid0009", http.StatusNotFound},
			"a conversation with oneself": {bob, bob, http.StatusUnprocessableEntity},
		} {
			if code := accept(t, s.in, c.uid, c.other); code != c.code && (code != http.StatusBadRequest || c.uid != c.other) {
				t.Errorf("%s: status %d, want %d", what, code, c.code)
			}
		}
		set := internalapi.Setting{UID: bob, Setting: chat.Setting{Conversation: chat.ConversationID(alice, bob),
			Kind: chat.SettingAccept, Choice: chat.Choice{At: chat.MicrosOf(time.Now()),
				ID: uuid.Must(uuid.NewV7()).String()}}}
		w := s.in.Call(t.Context(), http.MethodPost, internalapi.SettingPath, servertest.ServiceToken, set)
		if w.Code/100 != 4 {
			t.Errorf("a request that is accepted and off: status %d", w.Code)
		}
		s.b.Quiet(5 * time.Second)
		s.act()
		if got := s.noticed(); got.typing+got.read+got.online+got.notified != 0 {
			t.Errorf("a request: %+v", got)
		}

		block(t, s.rig, s.in, bob, alice)
		if code := accept(t, s.in, bob, alice); code != http.StatusNoContent {
			t.Errorf("accepted on one device and blocked on another: status %d", code)
		}
		s.a.Send(servertest.Message(bob, "x"))
		s.a.Refused("recipient_unavailable")
		s.act()
		s.a.Refused("recipient_unavailable")
		if got := s.noticed(); got.typing+got.read+got.online+got.notified != 0 {
			t.Errorf("blocked: %+v", got)
		}
	})
}

// Only the archive knows that bob has answered, and he has used up his questions to it. A mark that only his own
// devices got would look like one that alice got, so it is dropped, and his client repeats it.
func TestReadMarkBeyondTheQuestions(t *testing.T) {
	request(t, func(t *testing.T, s *requestScene) {
		testwait.Advance(5 * time.Second) // alice's instance asks the archive, and would record the answer in Redis
		s.archive.set(alice, bob, alice, bob)
		testwait.Advance(2 * time.Minute)
		noticed(t, s.b, bob)
		for i := range 60 {
			uid := fmt.Sprintf("friendUid%04d", i)
			s.rig.Gates.Set(uid, gate.Gate{Exists: true})
			s.b.Send(wire.ClientFrame{Type: wire.TypeTyping, To: uid})
			testwait.Advance(time.Second / 2)
		}
		mark(s.b, alice)
		testwait.Advance(5 * time.Second)
		if noticed(t, s.b, bob).read || s.noticed().read > 0 {
			t.Error("a mark took effect although nobody knows whether bob has answered")
		}
		testwait.Advance(time.Minute)
		mark(s.b, alice)
		testwait.Advance(5 * time.Second)
		if !noticed(t, s.b, bob).read || s.noticed().read != 1 {
			t.Error("a repeated mark did not reach both")
		}
	})
}
