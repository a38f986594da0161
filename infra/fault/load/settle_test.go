package load

import (
	"context"
	"errors"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"github.com/phoenixchat/phoenixchat/infra/client"
	"github.com/phoenixchat/phoenixchat/infra/fault/record"
)

// unreachable is a Testbed that cannot be reached.
type unreachable struct{}

var errUnreachable = errors.New("unreachable")

func (unreachable) Dial(context.Context, string, func(net.Conn) net.Conn) (*websocket.Conn, error) {
	return nil, errUnreachable
}
func (unreachable) Token(string) (string, time.Time, error) { return "", time.Time{}, errUnreachable }
func (unreachable) History(string) client.History           { return nil }
func (unreachable) List(context.Context, string) ([]record.Item, error) {
	return nil, errUnreachable
}
func (unreachable) Waiting() int { return 0 }

// A run whose messages still make progress when its time is over has a backlog. A run without progress for a minute
// is stuck. The record shows the difference.
func TestSettleDistinguishesBacklogFromStuck(t *testing.T) {
	for _, c := range []struct {
		name     string
		progress bool
		want     error
		took     time.Duration
	}{{"stuck", false, ErrStuck, time.Minute}, {"backlog", true, ErrBacklog, 5 * time.Minute}} {
		synctest.Test(t, func(t *testing.T) {
			log := record.New()
			crowd := New(unreachable{}, log, []string{"ann", "bob"}, Options{Seed: 1})
			defer crowd.Close()
			d := crowd.DevicesOf("ann")[0]
			d.Start()
			if d.Write("bob", "hello", "") == "" {
				t.Fatal("the message was not written")
			}
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
			defer cancel()
			if c.progress {
				go func() {
					tick := time.NewTicker(20 * time.Second)
					defer tick.Stop()
					for {
						log.Add(record.Entry{Kind: record.State, Device: "ann.a", ID: "m", Name: "sent"})
						select {
						case <-tick.C:
						case <-ctx.Done():
							return
						}
					}
				}()
			}
			begin := time.Now()
			err := crowd.Settle(ctx, time.Minute)
			if took := time.Since(begin); !errors.Is(err, c.want) || took < c.took || took > c.took+time.Second {
				t.Errorf("%s: %v after %v, want %v after %v", c.name, err, took, c.want, c.took)
			}
			cut := slices.ContainsFunc(log.Entries(), func(e record.Entry) bool { return e.Kind == record.Unfinished })
			if cut != c.progress {
				t.Errorf("%s: the record has an Unfinished entry: %v", c.name, cut)
			}
		})
	}
}

// A user with enough unsent messages writes no more, and others go on.
func TestLoadAdapts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		crowd := New(unreachable{}, record.New(), []string{"ann", "bob", "eve"}, Options{Seed: 1, Rate: 1000, Unsent: 10})
		defer crowd.Close()
		for _, d := range crowd.Devices() {
			d.Start()
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		crowd.Chat(ctx, func() {})
		for _, d := range crowd.Devices() {
			// A burst of five can begin with nine unsent messages.
			if n := d.Own()[client.Waiting]; n < 10 || n > 14 {
				t.Errorf("%s has %d messages waiting", d.Name(), n)
			}
		}
	})
}
