package settle

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/phoenixchat/phoenixchat/realtime/delivery"
	"github.com/phoenixchat/phoenixchat/realtime/redistest"
	"github.com/phoenixchat/phoenixchat/realtime/testwait"
)

// lossHook is a redis.Hook that fails selected commands, before or after Redis has done them.
type lossHook struct {
	mu      sync.Mutex
	selects func(args []any) bool // nil: no command fails
	after   bool
}

var errLost = &net.OpError{Op: "read", Err: errors.New("injected fault")}

// set fails the commands for which selects returns true. With after, Redis does them and only the reply is lost.
func (h *lossHook) set(selects func(args []any) bool, after bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.selects, h.after = selects, after
}

// appendsEvent selects the scripts that append an event of that type.
func appendsEvent(kind string) func([]any) bool {
	return func(args []any) bool { return slices.Contains(args, any(kind)) }
}

// settlesMessages selects the commands that mark what is published and reported.
func settlesMessages(args []any) bool { return args[0] == "zadd" }

// loses reports whether one of the commands fails before it is done, or after.
func (h *lossHook) loses(cmds ...redis.Cmder) (before, after bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range cmds {
		if h.selects != nil && h.selects(redistest.Args(c)) {
			return !h.after, h.after
		}
	}
	return false, false
}

func (h *lossHook) DialHook(next redis.DialHook) redis.DialHook { return next }

func (h *lossHook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		before, after := h.loses(cmd)
		if !before {
			if err := next(ctx, cmd); !after {
				return err
			}
		}
		cmd.SetErr(errLost)
		return errLost
	}
}

func (h *lossHook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		before, after := h.loses(cmds...)
		if !before {
			if err := next(ctx, cmds); !after {
				return err
			}
		}
		for _, c := range cmds {
			c.SetErr(errLost)
		}
		return errLost
	}
}

// An instance is killed between any two steps of a flush. Ben's device then says hello to another instance with its
// cursor and sends its read mark again. Everything is saved and reported, and no step precedes the one before it.
func TestCrashBetweenAnyTwoSteps(t *testing.T) {
	steps := []struct {
		name     string
		lose     func(x *instance, pub *topic)
		reported bool // ann may have delivered events before the crash
		settled  bool // ben's inbox may have dropped the messages before the crash
	}{
		{"publish", func(_ *instance, pub *topic) { pub.setDown(true) }, false, false},
		{"confirmation", func(_ *instance, pub *topic) {
			pub.intercept(func(b delivery.Batch) error {
				pub.mu.Lock()
				defer pub.mu.Unlock()
				pub.batches = append(pub.batches, b)
				return errDown
			})
		}, false, false},
		{"receipts", func(x *instance, _ *topic) { x.loss.set(appendsEvent("delivered"), false) }, false, false},
		{"reply to receipts", func(x *instance, _ *topic) { x.loss.set(appendsEvent("delivered"), true) }, true, false},
		{"settle", func(x *instance, _ *topic) { x.loss.set(settlesMessages, false) }, true, false},
		{"reply to settle", func(x *instance, _ *topic) { x.loss.set(settlesMessages, true) }, true, true},
		{"read events", func(x *instance, _ *topic) { x.loss.set(appendsEvent("read"), false) }, true, true},
		{"reply to read events", func(x *instance, _ *topic) { x.loss.set(appendsEvent("read"), true) }, true, true},
	}
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		for i, step := range steps {
			t.Run(step.name, func(t *testing.T) {
				ann, ben := fmt.Sprint("ann", i), fmt.Sprint("ben", i)
				pub := newTopic()
				x := start(t, b, pub, Options{Drain: time.Millisecond})
				phone := x.attach(t, ben, "")
				x.send(t, ann, ben, "one")
				last := x.send(t, ann, ben, "two")
				phone.receive()
				step.lose(x, pub)
				phone.ack()
				phone.read(last)
				testwait.Until(t, "the step fails", func() bool { return x.Counters().Failed.Load() > 0 })
				x.loss.set(func([]any) bool { return true }, false) // killed
				x.stop()

				pub.setDown(false)
				pub.intercept(nil)
				y := start(t, b, pub, Options{})
				reported := slices.Contains(y.types(t, ann), "delivered")
				if reported && !step.reported {
					t.Error("the messages were reported before Pub/Sub confirmed them")
				}
				if y.waiting(t, ben) == 0 && (!step.settled || !reported) {
					t.Error("the inbox dropped the messages before they were published and reported")
				}
				again := y.attach(t, ben, phone.pos.Cursor.String())
				again.read(last)
				again.close()
				same(t, "waiting", y.waiting(t, ben), 0)
				bodies := pub.delivered()
				if !slices.Contains(bodies, "one") || !slices.Contains(bodies, "two") {
					t.Errorf("published %v, want both messages", bodies)
				}
				types := y.types(t, ann)
				delivered, read := slices.Index(types, "delivered"), slices.Index(types, "read")
				if delivered < 0 || read < delivered {
					t.Errorf("ann has the events %v, want delivered before read", types)
				}
			})
		}
	})
}
