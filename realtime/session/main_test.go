package session_test

import (
	"bytes"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"

	"github.com/phoenixchat/phoenixchat/realtime/server"
	"github.com/phoenixchat/phoenixchat/realtime/server/servertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	alice, bob, carol = "aliceUid0001", "bobUid0002", "carolUid0003"
)

// bubble runs fn with one instance and three users in a synctest bubble, whose clock advances only while every
// goroutine waits.
func bubble(t *testing.T, change func(*server.Deps),
	fn func(t *testing.T, rig *servertest.Rig, in *servertest.Instance),
) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		rig := servertest.New(t, alice, bob, carol)
		fn(t, rig, rig.Start(change))
	})
}

// logBuffer is a log that a test can read.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) logger() *slog.Logger { return slog.New(slog.NewTextHandler(b, nil)) }

// Write implements io.Writer.
func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
