package script_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/phoenixchat/phoenixchat/realtime/redistest"
	"github.com/phoenixchat/phoenixchat/realtime/script"
	"github.com/phoenixchat/phoenixchat/realtime/testwait"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(redistest.Main(m)) }

var files = fstest.MapFS{
	"lua/add.lua":   {Data: []byte("return redis.call('INCRBY', KEYS[1], ARGV[1])")},
	"lua/echo.lua":  {Data: []byte("return ARGV[1]")},
	"lua/epoch.lua": {Data: []byte("redis.call('INCR', KEYS[1])\nreturn primary_epoch()")},
}

var (
	add   = script.Load(files, nil, "add")
	echo  = script.Load(files, nil, "echo")
	epoch = script.LoadPrimary(files, nil, "epoch")
)

func adds(key string, n int) script.Call {
	return script.Call{Script: add, Keys: []string{key}, Args: []any{n}}
}

func echoes(key, text string) script.Call {
	return script.Call{Script: echo, Keys: []string{key}, Args: []any{text}}
}

// gate is a redis.Hook that counts batches, and holds them back while it is closed.
type gate struct {
	mu      sync.Mutex
	open    chan struct{} // closed while batches pass
	batches [][]string    // arguments of each command
	began   chan struct{} // has a value for each batch that has arrived
	lose    int           // connections that break before the answer of their batch arrives
}

func newGate() *gate {
	g := &gate{open: make(chan struct{}), began: make(chan struct{}, 1000)}
	close(g.open)
	return g
}

func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open = make(chan struct{})
}

func (g *gate) release() {
	g.mu.Lock()
	defer g.mu.Unlock()
	close(g.open)
}

// loseAnswers breaks the connections of the next n batches before their answers arrive.
func (g *gate) loseAnswers(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.lose = n
}

// loses reports whether the answers of a batch are lost.
func (g *gate) loses() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.lose == 0 {
		return false
	}
	g.lose--
	return true
}

// sizes returns how many calls of the script add or echo the batches had, those without any left out.
func (g *gate) sizes() (out []int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, batch := range g.batches {
		n := 0
		for _, args := range batch {
			if strings.Contains(args, add.Hash()) || strings.Contains(args, echo.Hash()) {
				n++
			}
		}
		if n > 0 {
			out = append(out, n)
		}
	}
	return out
}

func (g *gate) DialHook(next redis.DialHook) redis.DialHook { return next }

func (g *gate) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (g *gate) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		var batch []string
		for _, c := range cmds {
			batch = append(batch, c.String())
		}
		g.mu.Lock()
		g.batches = append(g.batches, batch)
		open := g.open
		g.mu.Unlock()
		g.began <- struct{}{}
		select {
		case <-open:
			err := next(ctx, cmds)
			if g.loses() {
				err = io.ErrUnexpectedEOF
				for _, c := range cmds {
					c.SetErr(err)
				}
			}
			return err
		case <-ctx.Done():
			err := context.Cause(ctx)
			for _, c := range cmds {
				c.SetErr(err)
			}
			return err
		}
	}
}

// opened is a Runner with a gate in front of Redis. Its scripts are loaded.
type opened struct {
	*script.Runner
	*gate
	rdb redis.UniversalClient
}

func open(t *testing.T, rdb redis.UniversalClient, tuning script.Tuning) opened {
	t.Helper()
	o := opened{gate: newGate(), rdb: rdb}
	redistest.AddHook(t, rdb, o.gate)
	o.Runner = script.NewRunner(rdb, script.Options{Timeout: 5 * time.Second}.WithTuning(tuning))
	for _, c := range []script.Call{adds("warm", 1), echoes("warm", "x"), epochOf("warm")} {
		if _, err := o.Run(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	o.mu.Lock()
	o.batches = nil
	o.mu.Unlock()
	for len(o.began) > 0 {
		<-o.began
	}
	return o
}

func epochOf(key string) script.Call { return script.Call{Script: epoch, Keys: []string{key}} }

// epochNow returns the epoch that a script sees, and checks that the primary has it.
func (o opened) epochNow(t *testing.T) string {
	t.Helper()
	v, err := o.Run(t.Context(), epochOf("epoch"))
	if err != nil {
		t.Fatal(err)
	}
	want, err := script.PrimaryEpoch(t.Context(), o.rdb)
	if err != nil {
		t.Fatal(err)
	}
	if v != want {
		t.Errorf("a script saw the epoch %v, and the primary has %s", v, want)
	}
	return want
}

// waiting is a call that runs in the background.
type waiting struct {
	done  chan struct{}
	value any
	err   error
}

func (o opened) start(ctx context.Context, c script.Call) *waiting {
	w := &waiting{done: make(chan struct{})}
	go func() {
		defer close(w.done)
		w.value, w.err = o.Run(ctx, c)
	}()
	return w
}

func (w *waiting) want(t *testing.T, value any, err error) {
	t.Helper()
	select {
	case <-w.done:
	case <-time.After(10 * time.Second):
		t.Fatal("no answer after 10 s")
	}
	if w.value != value || !errors.Is(w.err, err) {
		t.Errorf("got %v, %v; want %v, %v", w.value, w.err, value, err)
	}
}

// isTimeout reports whether a call ended because its time was over.
func isTimeout(err error) bool {
	var n net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &n) && n.Timeout()
}

// awaitQueued waits until n calls wait for a batch.
func (o opened) awaitQueued(t *testing.T, n int) {
	t.Helper()
	testwait.Until(t, fmt.Sprint(n, " calls wait"), func() bool { return o.Queued() == n })
}
