package server_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/phoenixchat/phoenixchat/realtime/redistest"
)

// testMain ends the servers that redistest started.
type testMain struct{ m *testing.M }

func (t testMain) Run() int { return redistest.Main(t.m) }

func TestMain(m *testing.M) { goleak.VerifyTestMain(testMain{m}) }
