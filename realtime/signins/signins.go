// Package signins reports which sign-ins open sockets, so that a person also sees a device in the list of their devices
// that never calls the HTTP API. A report takes the way of delivered messages: Pub/Sub and persist. It is a paid
// operation, so each sign-in is reported at most once an hour, at most 10 of a user are, and reports of an instance are
// gathered.
//
// Reports are a hint. One that is lost, because a queue is full or the instance ends, is made up for an hour later.
package signins

import (
	"context"
	"embed"
	"errors"
	"log/slog"
	"strconv"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/counter"
	"github.com/phoenixchat/phoenixchat/realtime/delivery"
	"github.com/phoenixchat/phoenixchat/realtime/script"
	"github.com/phoenixchat/phoenixchat/realtime/useragent"
)

// Limits of reports.
const (
	Every   = time.Hour        // of one sign-in
	MaxDue  = 10               // sign-ins of a user in Every
	Gather  = 10 * time.Second // from the first report until all of them are published
	Queue   = 1_000            // uses of an instance that Redis was not asked about yet
	drainIn = 2 * time.Second  // when Run ends
)

//go:embed lua/*.lua
var luaFiles embed.FS

var dueScript = script.Load(luaFiles, nil, "due")

func signinsKey(uid string) string { return "signins:{" + uid + "}" }

// Publisher publishes to the topic that persist reads; see settle.Publisher.
type Publisher interface {
	Publish(ctx context.Context, data []byte) error
}

// Use is a socket that a sign-in has opened.
type Use struct {
	UID      string
	AuthTime time.Time
	At       time.Time
	Client   useragent.Client
}

// Counters count what this instance did since it started.
type Counters struct {
	Published     counter.Count // reports
	Dropped       counter.Count // uses and reports that were given up, because there were too many
	PublishFailed counter.Count // attempts
}

// Recorder reports uses of sign-ins. It is safe for concurrent use.
type Recorder struct {
	runner   *script.Runner
	pub      Publisher
	log      *slog.Logger
	queue    chan Use
	counters Counters
}

// New returns a Recorder, which works while Run runs.
func New(runner *script.Runner, pub Publisher, log *slog.Logger) *Recorder {
	return &Recorder{runner: runner, pub: pub, log: log, queue: make(chan Use, Queue)}
}

// Counters returns the counters of this instance.
func (r *Recorder) Counters() *Counters { return &r.counters }

// Opened notes that a sign-in has opened a socket. It does not block.
func (r *Recorder) Opened(u Use) {
	select {
	case r.queue <- u:
	default:
		r.counters.Dropped.Add(1)
	}
}

// Run reports until ctx ends, and then what is left, for 2 s at most. It returns the cause of ctx.
func (r *Recorder) Run(ctx context.Context) error {
	work, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(drainIn, end) })()
	var gathered []delivery.Seen
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	timer.Stop()
	for {
		select {
		case <-ctx.Done():
			for len(r.queue) > 0 {
				gathered = r.gather(work, gathered, <-r.queue)
			}
			r.publish(work, gathered)
			return context.Cause(ctx)
		case u := <-r.queue:
			before := len(gathered)
			if gathered = r.gather(work, gathered, u); before == 0 && len(gathered) == 1 {
				timer.Reset(Gather)
			}
		case <-timer.C:
			if gathered = r.publish(work, gathered); len(gathered) > 0 {
				timer.Reset(Gather)
			}
		}
	}
}

// gather returns the list with a report of u, if that is due and there is room.
func (r *Recorder) gather(ctx context.Context, list []delivery.Seen, u Use) []delivery.Seen {
	if !r.isDue(ctx, u) {
		return list
	}
	if len(list) == delivery.MaxMessages {
		r.counters.Dropped.Add(1)
		return list
	}
	return append(list, delivery.Seen{UID: u.UID, SignIn: chat.Micros(u.AuthTime.Unix()) * 1e6, At: chat.MicrosOf(u.At),
		Client: u.Client})
}

// isDue asks Redis whether a use is due to be reported. Without an answer it is not.
func (r *Recorder) isDue(ctx context.Context, u Use) bool {
	v, err := r.runner.Run(ctx, script.Call{Script: dueScript, Keys: []string{signinsKey(u.UID)},
		Args: []any{strconv.FormatInt(u.AuthTime.Unix(), 10), Every.Milliseconds(), MaxDue}})
	if err != nil && !errors.Is(err, context.Canceled) {
		r.log.Info("a sign-in could not be recorded", "uid", u.UID, "error", err)
	}
	due, _ := v.(int64)
	return err == nil && due == 1
}

// publish publishes the reports, and returns those that are left.
func (r *Recorder) publish(ctx context.Context, list []delivery.Seen) []delivery.Seen {
	if len(list) == 0 {
		return nil
	}
	data, err := delivery.Batch{Seen: list}.Encode()
	if err == nil {
		err = r.pub.Publish(ctx, data)
	}
	if err != nil {
		r.counters.PublishFailed.Add(1)
		r.log.Warn("uses of sign-ins could not be published", "count", len(list), "error", err)
		return list
	}
	r.counters.Published.Add(int64(len(list)))
	return nil
}
