package testbed

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/server"
)

// What follows looks inside the system, or does to it what its own parts never do.

// ServiceToken is what instances take for the token of our own functions.
const ServiceToken = "the stage"

// Counts are counters of all instances together, each since its start.
type Counts struct {
	RateLimited int64 // frames refused for their rate
	Refusals    int64 // sockets ended for an error that their client was told of
	WindowFull  int64 // times that a socket's unacknowledged messages reached their bound
	InboxFull   int64 // messages refused since too many wait
	Poison      int64 // entries of inboxes that are no event, passed over
	Undelivered int64 // messages of which their senders were told that the recipient is gone
}

// Counts asks all instances.
func (s *Testbed) Counts(ctx context.Context) (sum Counts, err error) {
	for n := range s.instances {
		var f server.FiguresResponse
		if err := s.internal(ctx, n, http.MethodGet, "figures", nil, &f); err != nil {
			return sum, err
		}
		c := f.Counters
		sum.RateLimited += c.Session.RateLimited.Load()
		sum.Refusals += c.Session.Refusals.Load()
		sum.WindowFull += c.Session.WindowFull.Load()
		sum.InboxFull += c.Inbox.Full
		sum.Poison += c.Session.Poison.Load() + c.Inbox.PoisonEntries + c.Settle.Poison
		sum.Undelivered += c.Settle.Refused
	}
	return sum, nil
}

// internal makes a call that only our own functions may make.
func (s *Testbed) internal(ctx context.Context, n int, method, route string, body, into any) error {
	b, err := json.Marshal(body)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, "http://"+s.instances[n].spec.Addr+"/internal/"+route, bytes.NewReader(b))
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+ServiceToken)
	r.Close = true
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("%s /internal/%s: %s", method, route, resp.Status)
	}
	if into == nil {
		return nil
	}
	return json.NewDecoder(resp.Body).Decode(into)
}

// Erase deletes a person and tells an instance.
func (s *Testbed) Erase(ctx context.Context, uid string) error {
	return s.archive.Erase(ctx, uid, func() error {
		return s.internal(ctx, 0, http.MethodPost, "gone", map[string]string{"uid": uid}, nil)
	})
}

// Inbox is what Redis holds of somebody.
type Inbox struct {
	Entries int // in the stream
	Waiting int // messages that nobody has acknowledged
}

// Inbox looks at the inbox of uid.
func (s *Testbed) Inbox(ctx context.Context, uid string) (Inbox, error) {
	c := s.redis.client()
	defer c.Close()
	entries, err := c.XLen(ctx, "inbox:{"+uid+"}").Result()
	if err != nil {
		return Inbox{}, err
	}
	waiting, err := c.HLen(ctx, "pending:{"+uid+"}").Result()
	return Inbox{int(entries), int(waiting)}, err
}

// Poison puts an entry into the inbox of uid that no instance has written.
func (s *Testbed) Poison(ctx context.Context, uid string, fields ...string) error {
	args := []any{"XADD", "inbox:{" + uid + "}", "*"}
	for _, f := range fields {
		args = append(args, f)
	}
	return s.redis.do(ctx, args...)
}

// Memory is in bytes; parts that cannot be asked have 0.
type Memory struct {
	Redis     int64 // that its data takes
	Instances int64 // of the largest one, as the system counts it
}

// Memory looks at what the parts take.
func (s *Testbed) Memory(ctx context.Context) (m Memory) {
	c := s.redis.client()
	defer c.Close()
	if info, err := c.Info(ctx, "memory").Result(); err == nil {
		m.Redis = field(info, "used_memory:")
	}
	for _, i := range s.instances {
		i.mu.Lock()
		if i.child != nil {
			if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", i.child.Pid())); err == nil { // Linux
				m.Instances = max(m.Instances, 1024*field(string(b), "VmRSS:"))
			}
		}
		i.mu.Unlock()
	}
	return m
}

// field returns the number that follows name at the beginning of a line.
func field(text, name string) int64 {
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			if parts := strings.Fields(rest); len(parts) > 0 {
				n, _ := strconv.ParseInt(parts[0], 10, 64)
				return n
			}
		}
	}
	return 0
}
