package testbed

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/phoenixchat/phoenixchat/functions/notify"
	"github.com/phoenixchat/phoenixchat/functions/push"
	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/infra/pushstub"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
)

// NotifyTopic is the topic of events about messages that wait for somebody who is away.
const NotifyTopic = "notify"

// notifier is the function notify with a push service, which wakes devices of the crowd.
type notifier struct {
	function *notify.Function
	service  *pushstub.Server
	url      string // of the push service
	pair     push.Pair
	down     atomic.Bool
	ids      atomic.Int64
}

// startNotify starts the function and the push service. Instances can publish events from then on.
func (tb *Testbed) startNotify() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen for pushes: %w", err)
	}
	n := &notifier{service: pushstub.New(), url: "http://" + l.Addr().String()}
	web := &http.Server{Handler: n.service, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = web.Serve(l) }()
	tb.closers = append(tb.closers, func() { _ = web.Close() })
	keys := push.NewFileKeys(filepath.Join(tb.opts.Dir, "push.json"))
	if n.pair, err = keys.Pair(context.Background()); err != nil {
		return err
	}
	sender := push.NewSender(push.Services{Local: n.url}, keys, Origin)
	tb.closers = append(tb.closers, sender.Close)
	n.function = notify.New(notify.Deps{Store: tb.archive, Sender: sender, Gates: tb, Publisher: noEvents{},
		Log: slog.New(slog.DiscardHandler)})
	tb.notifier = n
	tb.queue.notify = func(data []byte) { n.deliver(tb.queue.ctx, data) }
	return nil
}

// RefreshGate implements the gates of the function notify.
func (tb *Testbed) RefreshGate(ctx context.Context, uid string) error { return tb.pushGate(ctx, uid) }

// noEvents refuses the events of notify about devices that it could not reach, so that it repeats the whole event.
type noEvents struct{}

func (noEvents) Publish(context.Context, []byte) error { return errors.New("not published") }

// deliver calls the function until it has handled an event, as Pub/Sub does.
func (n *notifier) deliver(ctx context.Context, data []byte) {
	id := strconv.FormatInt(n.ids.Add(1), 10)
	body, err := json.Marshal(map[string]any{"subscription": "projects/fault/subscriptions/notify",
		"message": map[string]any{"data": data, "messageId": id,
			"publishTime": time.Now().UTC().Format(time.RFC3339Nano)}})
	if err != nil { // cannot happen: only strings
		panic(err)
	}
	for {
		if !n.down.Load() {
			r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/", bytes.NewReader(body))
			r.Header.Set("Content-Type", "application/json")
			w := httptest.NewRecorder()
			if n.function.ServeHTTP(w, r); w.Code/100 == 2 {
				return
			}
		}
		select {
		case <-time.After(time.Second/2 + time.Duration(rand.Int64N(int64(time.Second)))):
		case <-ctx.Done():
			return
		}
	}
}

// NotifyDown makes the function notify fail, or repairs it. Pub/Sub keeps the events meanwhile.
func (tb *Testbed) NotifyDown(down bool) { tb.notifier.down.Store(down) }

// Subscribe registers a device for push. Arrived is called with each push that the device can decrypt, and must not
// block.
func (tb *Testbed) Subscribe(ctx context.Context, uid, device string, arrived func()) error {
	receiver, err := pushstub.NewReceiver()
	if err != nil {
		return err
	}
	now := chat.MicrosOf(time.Now())
	path := tb.notifier.service.Subscribe(tb.notifier.pair.Public)
	s := store.Subscription{Device: device, Endpoint: tb.notifier.url + path, Preview: true, SignIn: now, At: now}
	if s.P256DH, s.Auth, err = push.DecodeKeys(receiver.Keys()); err != nil {
		return err
	}
	if _, err := tb.archive.Subscribe(ctx, uid, s); err != nil {
		return fmt.Errorf("subscribe %s: %w", device, err)
	}
	tb.notifier.service.Listen(path, func(p pushstub.Push) {
		if _, err := receiver.Decrypt(p.Body); err == nil {
			arrived()
		}
	})
	return nil
}
