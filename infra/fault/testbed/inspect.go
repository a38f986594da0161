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

	"github.com/phoenixchat/phoenixchat/realtime/internalapi"
	"github.com/phoenixchat/phoenixchat/realtime/server"
)

// The methods in this file inspect the system, or do to it what its own parts never do.

// ServiceToken is the token that instances accept from our own functions.
const ServiceToken = "the testbed"

// Counts are counters of all instances, added up. Each counts from the start of its process.
type Counts struct {
	RateLimited int64 // frames refused because of their rate
	Refusals    int64 // sockets closed after an error frame
	WindowFull  int64 // times that a socket reached its limit of unacknowledged messages
	InboxFull   int64 // messages refused because too many are waiting
	Poison      int64 // entries of inboxes that could not be decoded and were skipped
	Undelivered int64 // messages refused because their recipient was deleted
}

// Counts requests the counters of all instances.
func (tb *Testbed) Counts(ctx context.Context) (sum Counts, err error) {
	for n := range tb.instances {
		var f server.FiguresResponse
		if err := tb.callInternal(ctx, n, http.MethodGet, "figures", nil, &f); err != nil {
			return sum, err
		}
		c := f.Counters
		sum.RateLimited += c.Session.RateLimited.Load()
		sum.Refusals += c.Session.Refusals.Load()
		sum.WindowFull += c.Session.WindowFull.Load()
		sum.InboxFull += c.Inbox.Full.Load()
		sum.Poison += c.Session.Poison.Load() + c.Inbox.PoisonEntries.Load() + c.Settle.Poison.Load()
		sum.Undelivered += c.Settle.Refused.Load()
	}
	return sum, nil
}

// callInternal makes a call that only our own functions may make.
func (tb *Testbed) callInternal(ctx context.Context, n int, method, route string, body, into any) error {
	b, err := json.Marshal(body)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	url := "http://" + tb.instances[n].spec.Addr + "/internal/" + route
	r, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(b))
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

// Erase deletes a user and notifies an instance.
func (tb *Testbed) Erase(ctx context.Context, uid string) error {
	return tb.archive.Erase(ctx, uid, func() error {
		return tb.callInternal(ctx, 0, http.MethodPost, "gone", map[string]string{"uid": uid}, nil)
	})
}

// SetDisabled disables or enables a user, and notifies an instance, as the functions do. What waits from a disabled
// user is refused.
func (tb *Testbed) SetDisabled(ctx context.Context, uid string, disabled bool) error {
	if _, err := tb.archive.SetDisabled(ctx, uid, disabled); err != nil {
		return fmt.Errorf("disable %s: %w", uid, err)
	}
	if err := tb.pushGate(ctx, uid); err != nil || !disabled {
		return err
	}
	return tb.purge(ctx, internalapi.Purge{From: uid, Reason: internalapi.ReasonWithdrawn})
}

// Block makes a user block another one, and notifies an instance, as the functions do. What waits is refused.
func (tb *Testbed) Block(ctx context.Context, uid, other string) error {
	if _, err := tb.archive.SetBlocked(ctx, uid, other, true); err != nil {
		return fmt.Errorf("block %s: %w", other, err)
	}
	if err := tb.pushGate(ctx, uid); err != nil {
		return err
	}
	return tb.purge(ctx, internalapi.Purge{From: other, To: uid, Reason: internalapi.ReasonUnavailable})
}

// Unblock ends a block, and notifies an instance.
func (tb *Testbed) Unblock(ctx context.Context, uid, other string) error {
	if _, err := tb.archive.SetBlocked(ctx, uid, other, false); err != nil {
		return fmt.Errorf("unblock %s: %w", other, err)
	}
	return tb.pushGate(ctx, uid)
}

func (tb *Testbed) pushGate(ctx context.Context, uid string) error {
	u, err := tb.archive.User(ctx, uid)
	if err != nil {
		return err
	}
	return tb.callInternal(ctx, 0, http.MethodPost, "gate",
		internalapi.Gate{UID: uid, Exists: true, Disabled: u.Disabled, Blocked: u.Blocked, Push: u.Push}, nil)
}

func (tb *Testbed) purge(ctx context.Context, p internalapi.Purge) error {
	return tb.callInternal(ctx, 0, http.MethodPost, "purge", p, nil)
}

// Inbox is the size of a user's inbox in Redis.
type Inbox struct {
	Entries int // of the stream
	Waiting int // messages that no device has acknowledged
}

// Inbox returns the size of the inbox of uid.
func (tb *Testbed) Inbox(ctx context.Context, uid string) (Inbox, error) {
	c := tb.redis.client()
	defer c.Close()
	entries, err := c.XLen(ctx, "inbox:{"+uid+"}").Result()
	if err != nil {
		return Inbox{}, err
	}
	waiting, err := c.HLen(ctx, "pending:{"+uid+"}").Result()
	return Inbox{int(entries), int(waiting)}, err
}

// Poison adds an entry to the inbox of uid that no instance would write.
func (tb *Testbed) Poison(ctx context.Context, uid string, fields ...string) error {
	args := []any{"XADD", "inbox:{" + uid + "}", "*"}
	for _, f := range fields {
		args = append(args, f)
	}
	return tb.redis.do(ctx, args...)
}

// Memory is the memory in use, in bytes. A part that cannot be measured has 0.
type Memory struct {
	Redis     int64 // of its data
	Instances int64 // of the largest instance: resident set size
}

// Memory measures the memory of Redis and of the instances.
func (tb *Testbed) Memory(ctx context.Context) (m Memory) {
	c := tb.redis.client()
	defer c.Close()
	if info, err := c.Info(ctx, "memory").Result(); err == nil {
		m.Redis = numberAfter(info, "used_memory:")
	}
	for _, i := range tb.instances {
		m.Instances = max(m.Instances, i.residentSize())
	}
	return m
}

// residentSize returns the resident set size of the process in bytes, or 0 if it cannot be measured.
func (i *Instance) residentSize() int64 {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.child == nil {
		return 0
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", i.child.Pid())) // Linux
	if err != nil {
		return 0
	}
	return 1024 * numberAfter(string(b), "VmRSS:")
}

// numberAfter returns the number after name at the beginning of a line, or 0.
func numberAfter(text, name string) int64 {
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
