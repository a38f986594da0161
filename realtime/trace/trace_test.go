package trace

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"regexp"
	"testing"

	"github.com/google/uuid"

	"github.com/phoenixchat/phoenixchat/realtime/logging"
	"github.com/phoenixchat/phoenixchat/realtime/prober"
)

const id = "019a0000-0000-7000-8000-00000000a000"

func TestTraced(t *testing.T) {
	for _, c := range []struct {
		id, uid string
		want    bool
	}{
		{id, "ada", true},
		{"019a0000-0000-7000-8000-00000000a001", "ada", false},
		{"019a0000-0000-7000-8000-00000000a001", prober.A, true},
	} {
		if got := Traced(c.id, c.uid); got != c.want {
			t.Errorf("%s of %s: %v", c.id, c.uid, got)
		}
	}
	const all = 1 << 16
	traced := 0
	for range all {
		if Traced(uuid.Must(uuid.NewV7()).String(), "ada") {
			traced++
		}
	}
	if traced > all/4096*4 {
		t.Errorf("%d of %d messages are traced, want about %d", traced, all, all/4096)
	}
}

// A line has the trace where Cloud Logging looks for it, also if the log has a higher level.
func TestLog(t *testing.T) {
	var out bytes.Buffer
	log := logging.New(&out, logging.Options{JSON: true, Project: "p", Level: slog.LevelError})
	Log(log, Saved, id, slog.String("from", "ada"))
	var line map[string]any
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatalf("%v in %q", err, &out)
	}
	for key, want := range map[string]any{"message": "message saved", "id": id, "step": "saved", "from": "ada",
		"logging.googleapis.com/trace":  "projects/p/traces/019a000000007000800000000000a000",
		"logging.googleapis.com/spanId": spanOf(id, Saved)} {
		if line[key] != want {
			t.Errorf("%s is %v, want %v", key, line[key], want)
		}
	}
}

func TestAttributes(t *testing.T) {
	if got := Attributes(context.Background()); got != nil {
		t.Errorf("a message that is not traced has the attributes %v", got)
	}
	got := Attributes(WithParent(context.Background(), id))[Attribute]
	if !regexp.MustCompile(`^00-019a000000007000800000000000a000-[0-9a-f]{16}-01$`).MatchString(got) {
		t.Errorf("%s: %q", Attribute, got)
	}
}

// A message that is not traced must cost almost nothing.
func BenchmarkNotTraced(b *testing.B) {
	for b.Loop() {
		if Traced("019a0000-0000-7000-8000-00000000a001", "0123456789abcdefghijklmnopqr") {
			b.Fatal("traced")
		}
	}
}
