package inbox_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/phoenixchat/phoenixchat/realtime/inbox"
	"github.com/phoenixchat/phoenixchat/realtime/redistest"
	"github.com/phoenixchat/phoenixchat/realtime/testwait"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// attachFrom attaches a device.
func (s *setup) attachFrom(t testing.TB, uid, device string) {
	t.Helper()
	if _, err := s.Attach(t.Context(), uid, device, ""); err != nil {
		t.Fatal(err)
	}
}

// sentEvents sends a message from a device of ann, and returns how many sent events that adds to her inbox.
func (s *setup) sentEvents(t testing.TB, device string) int {
	t.Helper()
	count := func() (n int) {
		for _, e := range s.retained(t, "ann") {
			if e.Type == wire.EventSent {
				n++
			}
		}
		return n
	}
	before := count()
	if _, err := s.EnqueueFrom(t.Context(), message("ann", "ben", "x"), device); err != nil {
		t.Fatal(err)
	}
	return count() - before
}

// A sent event is written for the sender's other devices, and only if there are any. Where that is not known, it is
// written.
func TestSentEventsAreForOtherDevices(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		s := open(t, b, inbox.Options{})
		s.send(t, "ann", "ben", "first") // the first message to somebody writes more
		same(t, "from a device that has not attached", s.sentEvents(t, "phone"), 1)
		s.attachFrom(t, "ann", "phone")
		same(t, "from the only device", s.sentEvents(t, "phone"), 0)
		same(t, "from a new device beside it", s.sentEvents(t, "laptop"), 1)
		same(t, "from an unknown device", s.sentEvents(t, ""), 1)
		s.attachFrom(t, "ann", "laptop")
		same(t, "from one of two devices", s.sentEvents(t, "phone"), 1)

		old := time.Now().Add(-31*24*time.Hour - time.Minute).UnixMilli()
		s.rdb.HSet(t.Context(), "devices:{ann}", "laptop", strconv.FormatInt(old, 10))
		same(t, "beside one that left 31 days ago", s.sentEvents(t, "phone"), 0)
		s.rdb.Del(t.Context(), "devices:{ann}")
		same(t, "after Redis has lost the devices", s.sentEvents(t, "phone"), 1)
	})
}

// Clients choose the names of their devices. A user has at most 16, is then never alone, and devices that come later
// take the places of those that are long gone.
func TestDevicesAreBounded(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		s := open(t, b, inbox.Options{})
		s.send(t, "ann", "ben", "first")
		for i := range 20 {
			s.attachFrom(t, "ann", fmt.Sprint("device", i))
		}
		devices := func() map[string]string { return s.rdb.HGetAll(t.Context(), "devices:{ann}").Val() }
		same(t, "devices", len(devices()), 16)
		same(t, "sent events", s.sentEvents(t, "device0"), 1)
		if d := s.ttl(t, "devices:{ann}"); d < 30*24*time.Hour || d > 31*24*time.Hour {
			t.Errorf("the devices expire in %v", d)
		}
		for name := range devices() {
			s.rdb.HSet(t.Context(), "devices:{ann}", name, "1000")
		}
		s.attachFrom(t, "ann", "new") // finds no room, and makes some
		s.attachFrom(t, "ann", "new")
		names := devices()
		if _, ok := names["new"]; !ok || len(names) != 1 {
			t.Errorf("devices: %v", names)
		}
	})
}

// The account of a sender with one device counts what waits, each message once.
func TestAccountOfOneDevice(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		s := open(t, b, inbox.Options{})
		s.send(t, "ann", "ben", "first")
		s.settle(t, "ben", inbox.Cursor{Epoch: s.listed(t, "ben").Epoch, ID: s.listed(t, "ben").Last})
		s.report(t, "ben", wire.EventDelivered)
		s.attachFrom(t, "ann", "phone")
		m := message("ann", "ben", "x")
		for range 3 {
			if _, err := s.EnqueueFrom(t.Context(), m, "phone"); err != nil {
				t.Fatal(err)
			}
		}
		settled := func() bool {
			totals, fields := s.totals(t, "ann")
			return totals == fields && fields[:2] == "1 "
		}
		testwait.Until(t, "one message is counted", settled)
		if d := s.ttl(t, "out:{ann}"); d < 30*24*time.Hour || d > 31*24*time.Hour {
			t.Errorf("the account expires in %v", d)
		}
		kinds := func() (all []string) {
			for _, e := range s.retained(t, "ann") {
				all = append(all, e.Type)
			}
			return all
		}
		before := len(kinds())
		s.report(t, "ben", wire.EventDelivered)
		same(t, "keys of the account", s.rdb.Exists(t.Context(), "out:{ann}").Val(), 0)
		if all := kinds(); len(all) != before+1 || !slices.Contains(all[before:], wire.EventDelivered) {
			t.Errorf("the events of ann are %v", all)
		}
	})
}

// attaching is a redis.Hook that attaches a device just before a message is queued.
type attaching struct {
	hash   string // of the script that queues it
	attach func()
	armed  atomic.Bool
}

func (h *attaching) DialHook(next redis.DialHook) redis.DialHook { return next }

func (h *attaching) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (h *attaching) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		for _, c := range cmds {
			if slices.Contains(redistest.Args(c), any(h.hash)) && h.armed.CompareAndSwap(true, false) {
				h.attach()
			}
		}
		return next(ctx, cmds)
	}
}

// A device that attaches through another instance while a message is on its way gets the sent event.
func TestDevicesAreReadAfterTheSend(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		other := open(t, b, inbox.Options{})
		rdb := b.Client(t, nil)
		hook := &attaching{hash: other.ScriptHash("enqueue"), attach: func() { other.attachFrom(t, "ann", "laptop") }}
		redistest.AddHook(t, rdb, hook)
		s := openWith(t, rdb, inbox.Options{})
		s.send(t, "ann", "ben", "first")
		s.attachFrom(t, "ann", "phone")
		same(t, "before", s.sentEvents(t, "phone"), 0)
		hook.armed.Store(true)
		same(t, "while a device attaches", s.sentEvents(t, "phone"), 1)
	})
}
