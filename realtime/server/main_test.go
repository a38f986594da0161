package server_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/phoenixchat/phoenixchat/realtime/redistest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(redistest.Main(m)) }
