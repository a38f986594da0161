package server_test

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/counter"
	"github.com/phoenixchat/phoenixchat/realtime/logging"
	"github.com/phoenixchat/phoenixchat/realtime/server"
	"github.com/phoenixchat/phoenixchat/realtime/server/servertest"
	"github.com/phoenixchat/phoenixchat/realtime/testwait"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// TestEveryCounterIsReported finds the counters of all packages in their sources. A counter that is not in AllCounters
// is in no log and no metric.
func TestEveryCounterIsReported(t *testing.T) {
	declared := map[string]bool{}
	for _, root := range []string{"..", "../../functions"} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(n ast.Node) bool {
				field, ok := n.(*ast.Field)
				if !ok {
					return true
				}
				of, ok := field.Type.(*ast.SelectorExpr)
				if !ok {
					return true
				}
				if pkg, ok := of.X.(*ast.Ident); ok && pkg.Name == "counter" && of.Sel.Name != "Metric" {
					for _, name := range field.Names {
						declared[file.Name.Name+"."+name.Name] = true
					}
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	reported := map[string]bool{}
	synctest.Test(t, func(t *testing.T) {
		for _, m := range counter.Walk(servertest.New(t).Start(nil).Counters()) {
			reported[m.Part+"."+m.Name] = true
		}
	})
	if len(declared) < 75 {
		t.Errorf("found only %d counters", len(declared))
	}
	if !maps.Equal(declared, reported) {
		t.Errorf("counters that are declared:\n%v\nand reported:\n%v",
			slices.Sorted(maps.Keys(declared)), slices.Sorted(maps.Keys(reported)))
	}
}

// report is a line of the log with counters.
type report struct {
	Message  string
	Severity string
	Counters map[string]map[string]int64
	Step     string
	Outcome  string
}

// reports is a log that keeps the lines with counters.
type reports struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (r *reports) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(p)
}

// take returns the lines since the last call.
func (r *reports) take(t *testing.T) (list []report) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for line := range bytes.Lines(r.text.Bytes()) {
		var one report
		if err := json.Unmarshal(line, &one); err != nil {
			t.Fatal(err)
		}
		if one.Message == "counters" {
			list = append(list, one)
		}
	}
	r.text.Reset()
	return list
}

// startReporting starts an instance whose log is r, at a level that hides everything but errors.
func startReporting(rig *servertest.Rig, r *reports) *servertest.Instance {
	return rig.Start(func(d *server.Deps) {
		d.Log = logging.New(r, logging.Options{JSON: true, Level: slog.LevelError})
	})
}

func TestReports(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rig, lines := servertest.New(t, alice, bob), &reports{}
		in := startReporting(rig, lines)
		a, b := in.Join(t, alice), in.Join(t, bob)
		a.Say(bob, "hello")
		servertest.Event[wire.MessageEvent](b, wire.EventMessage)
		testwait.Advance(time.Minute)
		got := lines.take(t)
		if len(got) != 1 || got[0].Severity != "INFO" || got[0].Step != "live" || got[0].Outcome != "good" {
			t.Fatalf("%+v, want one report of a good minute", got)
		}
		for name, want := range map[string]int64{"Opened": 2, "Sends": 1, "Live": 1, "LiveLate": 0, "Open": 2} {
			if n := got[0].Counters["session"][name]; n != want {
				t.Errorf("%s is %d, want %d", name, n, want)
			}
		}

		testwait.Advance(time.Minute)
		got = lines.take(t)
		if len(got) != 1 || got[0].Counters["session"]["Opened"] != 0 || got[0].Counters["session"]["Open"] != 2 {
			t.Errorf("%+v, want a report with the open sockets, and without those that were opened before", got)
		}
		if len(got) > 0 && got[0].Outcome != "" {
			t.Errorf("a minute without messages is %q, want neither good nor bad", got[0].Outcome)
		}
		in.Stop()
		if got = lines.take(t); len(got) == 0 || got[len(got)-1].Counters["session"]["Open"] != 0 {
			t.Errorf("%+v, want a last report when the instance stops", got)
		}
	})
}

// TestLateMessagesAreReported cuts the recipient's instance off from Redis for a while.
func TestLateMessagesAreReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rig, lines := servertest.New(t, alice, bob), &reports{}
		in, cut := rig.Start(nil), startReporting(rig, lines)
		a, b := in.Join(t, alice), cut.Join(t, bob)
		cut.Redis.Down(true)
		a.Say(bob, "hello")
		testwait.Advance(5 * time.Second)
		cut.Redis.Down(false)
		servertest.Event[wire.MessageEvent](b, wire.EventMessage)
		testwait.Advance(time.Minute)
		for _, r := range lines.take(t) {
			if r.Outcome == "bad" && r.Counters["session"]["LiveLate"] == 1 {
				return
			}
		}
		t.Error("no report has the late message")
	})
}
