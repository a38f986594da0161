package chat_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
)

// TestEmptyBodies checks the bodies of the frames that the client's tests use as well.
func TestEmptyBodies(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("..", "wire", "testdata", "frames", "client.json"))
	if err != nil {
		t.Fatal(err)
	}
	var golden []struct {
		Name, Code string
		Valid      bool
		Frame      json.RawMessage
	}
	if err := json.Unmarshal(b, &golden); err != nil {
		t.Fatal(err)
	}
	empty := 0
	for _, g := range golden {
		var frame struct{ Type, Body string }
		if json.Unmarshal(g.Frame, &frame) != nil || frame.Type != "send" || !g.Valid {
			continue
		}
		want := g.Code == "body_empty"
		if got := errors.Is(chat.CheckBody(frame.Body), chat.ErrBodyEmpty); got != want {
			t.Errorf("%s: empty = %t, want %t", g.Name, got, want)
		}
		if want {
			empty++
		}
	}
	if empty < 10 {
		t.Errorf("only %d empty bodies", empty)
	}
}
