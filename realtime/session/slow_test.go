package session_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/server"
	"github.com/phoenixchat/phoenixchat/realtime/server/servertest"
	"github.com/phoenixchat/phoenixchat/realtime/testwait"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// sender sends messages as the browser does: again after a refusal that allows it, and if there was no answer for 20 s.
type sender struct {
	*servertest.Socket
	due map[string]time.Time // when a message without an answer is sent again
	all map[string]wire.ClientFrame
}

func newSender(s *servertest.Socket) *sender {
	return &sender{s, map[string]time.Time{}, map[string]wire.ClientFrame{}}
}

const unanswered = 20 * time.Second

func (s *sender) send(m wire.ClientFrame) {
	s.all[m.ID], s.due[m.ID] = m, time.Now().Add(unanswered)
	s.Socket.Send(m)
}

// work reads what has arrived, acknowledges messages, and sends again what is due.
func (s *sender) work(t *testing.T) {
	t.Helper()
	for {
		f, ok := s.Wait(time.Millisecond)
		if !ok {
			break
		}
		switch f := f.(type) {
		case wire.Sent:
			delete(s.due, f.ID)
		case wire.ErrorFrame:
			if f.RetryAfterMS == 0 {
				t.Fatalf("%+v", f)
			}
			s.due[f.ID] = time.Now().Add(time.Duration(f.RetryAfterMS) * time.Millisecond)
		case wire.EventFrame:
			s.Ack(f.Cursor)
		}
	}
	for id, at := range s.due {
		if time.Now().After(at) {
			s.send(s.all[id])
		}
	}
}

// Redis takes 1 to 4 s for each answer. At most 5 % of the work is done more than once: messages queued, sent events,
// receipts, and messages published. No socket is asked to reconnect, because that repeats work as well.
func TestSlowRedisDoesNotMultiplyWork(t *testing.T) {
	bubble(t, nil, func(t *testing.T, rig *servertest.Rig, in *servertest.Instance) {
		a, b := newSender(in.Join(t, alice)), newSender(in.Join(t, bob))
		for _, uid := range []string{alice, bob} { // second devices, for which sent events are written
			in.Dial(t, servertest.DialOptions{}).HelloFrom(uid, "second", "")
		}
		in.Redis.SlowBetween(time.Second, 4*time.Second, 13)
		const each = 40
		for i := range each {
			a.send(servertest.Message(bob, fmt.Sprint("a", i)))
			b.send(servertest.Message(alice, fmt.Sprint("b", i)))
			for end := time.Now().Add(3 * time.Second); time.Now().Before(end); testwait.Advance(100 * time.Millisecond) {
				a.work(t)
				b.work(t)
			}
		}
		for end := time.Now().Add(10 * time.Minute); time.Now().Before(end); testwait.Advance(100 * time.Millisecond) {
			a.work(t)
			b.work(t)
			if len(a.due)+len(b.due) == 0 && len(rig.Published.Delivered(t)) == 2*each {
				break
			}
		}
		testwait.Advance(time.Minute) // the last receipts
		const most = 2 * each / 20
		times := map[string]int{} // by type and message
		for _, uid := range []string{alice, bob} {
			entries, err := rig.Mini.Stream("inbox:{" + uid + "}")
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range entries {
				for id := range merged(a.all, b.all) {
					if strings.Contains(e.Values[3], id) {
						times[e.Values[1]+" "+id]++
					}
				}
			}
		}
		repeats := map[string]int{}
		for key, n := range times {
			kind, _, _ := strings.Cut(key, " ")
			repeats[kind] += n - 1
		}
		if len(times) != 3*2*each {
			t.Errorf("%d events, want one message, sent and delivered of each of %d messages", len(times), 2*each)
		}
		counters := in.Counters()
		repeats["queued again"] = int(counters.Inbox.Repeated.Load())
		repeats["appended again"] = int(counters.Inbox.AppendedAgain.Load())
		repeats["published again"] = rig.Published.Repeated(t)
		repeats["receipts"] = max(int(counters.Settle.Receipts.Load())-2*each, 0)
		for kind, n := range repeats {
			if n > most {
				t.Errorf("%s: %d repeats for %d messages, want at most %d", kind, n, 2*each, most)
			}
		}
		if n := counters.Inbox.Resyncs.Load(); n > 0 {
			t.Errorf("%d resyncs of a Redis that only is slow", n)
		}
	})
}

func merged(maps ...map[string]wire.ClientFrame) map[string]wire.ClientFrame {
	all := map[string]wire.ClientFrame{}
	for _, m := range maps {
		for id, f := range m {
			all[id] = f
		}
	}
	return all
}

// A client sends a message again while the first frame of it waits. There is one answer, and no second round trip.
// The same id with other content is another send.
func TestRepeatedFrameOfAWaitingSend(t *testing.T) {
	bubble(t, nil, func(t *testing.T, _ *servertest.Rig, in *servertest.Instance) {
		a := in.Join(t, alice)
		a.Say(bob, "before") // so that no other look-up is necessary
		in.Redis.Slow(2 * time.Second)
		m := servertest.Message(bob, "x")
		other := m
		other.Body = "y"
		for range 3 {
			a.Send(m)
		}
		a.Send(other)
		if s := servertest.Until[wire.Sent](a); s.ID != m.ID {
			t.Errorf("%+v", s)
		}
		if e := a.Refused("id_reused"); e.ID != m.ID {
			t.Errorf("%+v", e)
		}
		for end := time.Now().Add(time.Minute); time.Now().Before(end); {
			f, ok := a.Wait(time.Second)
			switch f.(type) {
			case wire.Sent, wire.ErrorFrame:
				t.Errorf("another answer: %+v", f)
			}
			if !ok {
				break
			}
		}
		if c := in.Counters(); c.Session.SendsRepeated.Load() != 2 || c.Inbox.Repeated.Load() != 0 {
			t.Errorf("%d repeated frames, %d repeated enqueues; want 2 and 0",
				c.Session.SendsRepeated.Load(), c.Inbox.Repeated.Load())
		}
		a.Send(m) // it does not wait on the socket any more
		if s := servertest.Until[wire.Sent](a); s.ID != m.ID {
			t.Errorf("%+v", s)
		}
	})
}

// Sends that fail because of Redis, and those that are refused for another reason, are counted and logged, but the log
// has only some of many.
func TestRefusedSendsAreLogged(t *testing.T) {
	var log logBuffer
	change := func(d *server.Deps) { d.Log = log.logger() }
	bubble(t, change, func(t *testing.T, _ *servertest.Rig, in *servertest.Instance) {
		a := in.Join(t, alice)
		a.Send(servertest.Message("nobody", "x"))
		a.Refused("recipient_unknown")
		in.Redis.Down(true)
		const failed = 50
		for range failed {
			a.Send(servertest.Message(bob, "x"))
			a.Refused("unavailable")
		}
		c := in.Counters().Session
		if c.SendsRefused.Load() != failed+1 || c.SendsFailed.Load() != failed {
			t.Errorf("%d sends refused, of these %d failed", c.SendsRefused.Load(), c.SendsFailed.Load())
		}
	})
	if n := strings.Count(log.String(), "code=recipient_unknown"); n != 1 {
		t.Errorf("%d entries of one refused send", n)
	}
	if n := strings.Count(log.String(), "send refused"); n < 2 || n > 20 {
		t.Errorf("the log has %d entries about refused sends", n)
	}
}
