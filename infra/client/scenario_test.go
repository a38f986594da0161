package client

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

const wireData = "../../realtime/wire/testdata"

// unmarshal keeps numbers as they are written.
func unmarshal(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	return d.Decode(v)
}

// The scripted scenarios that the browser client plays as well: see README.md beside them.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(wireData, "scenarios", "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var sc struct {
				Me    string
				Steps []map[string]any
				Final map[string]any
			}
			if err := unmarshal(b, &sc); err != nil {
				t.Fatal(err)
			}
			p := &play{world: newWorld(t, sc.Me), names: map[string]any{}, socket: map[int]int{}, acked: map[int][]any{}, read: map[int]int{}}
			p.ponging = true
			for i, step := range sc.Steps {
				if err := p.step(step); err != nil {
					js, _ := json.Marshal(step)
					t.Fatalf("step %d %s: %v", i+1, js, err)
				}
			}
			if sc.Final != nil {
				if err := p.see(sc.Final); err != nil {
					t.Fatalf("final: %v", err)
				}
			}
		})
	}
}

// play runs one scenario.
type play struct {
	*world
	names  map[string]any
	socket map[int]int // the scenario's numbers to the machine's
	last   int         // the scenario's number of the socket opened last
	read   map[int]int // frames of a machine's socket that were looked at
	acked  map[int][]any
}

func (p *play) step(s map[string]any) error {
	within := time.Second
	if v, ok := s["within_ms"]; ok {
		within = time.Duration(number(v)) * time.Millisecond
	}
	on := p.last
	if v, ok := s["on"]; ok {
		on = int(number(v))
	}
	n := p.socket[on]
	for key, v := range s {
		switch key {
		case "on", "within_ms", "as", "why", "note":
		case "open":
			m, err := p.accept(true, within)
			p.last = int(number(v))
			p.socket[p.last] = m
			return err
		case "refuse":
			_, err := p.accept(false, within)
			return err
		case "server":
			if !p.open[n] {
				return fmt.Errorf("socket %d is closed", on)
			}
			p.serve(n, p.fill(v))
			return nil
		case "expect":
			return p.expect(n, v.(map[string]any), within)
		case "silence_ms":
			return p.silence(time.Duration(number(v)) * time.Millisecond)
		case "never_acked":
			p.scan(n)
			if slices.Contains(p.acked[n], p.fill(v)) {
				return fmt.Errorf("%v was acknowledged", v)
			}
			return nil
		case "close":
			p.end(n, int(number(v)))
			return nil
		case "closed":
			n := p.socket[int(number(v))]
			if !p.advance(within, func() bool { return !p.open[n] }) {
				return fmt.Errorf("the client keeps socket %v", v)
			}
			return nil
		case "advance_ms":
			p.advance(time.Duration(number(v))*time.Millisecond, nil)
			return nil
		case "restart":
			p.restart()
			return nil
		case "user":
			return p.user(p.fill(v).(map[string]any), s["as"])
		case "archive":
			return p.change(p.fill(v))
		case "see":
			return p.see(v.(map[string]any))
		default:
			return fmt.Errorf("unknown step %q", key)
		}
	}
	return fmt.Errorf("a step without a word")
}

// passed reports whether a frame is passed over unless expected.
func passed(f map[string]any) bool {
	switch f["type"] {
	case wire.TypePing, wire.TypeTyping, wire.TypeWatch:
		return true
	}
	return false
}

func (p *play) expect(n int, want map[string]any, within time.Duration) error {
	var got map[string]any
	found := p.advance(within, func() bool {
		for p.read[n] < len(p.frames[n]) {
			f := p.frames[n][p.read[n]]
			if f["type"] == wire.TypeAck {
				p.acked[n] = append(p.acked[n], f["cursor"])
				if want["type"] != wire.TypeAck || !p.match(want, f, false) {
					p.read[n]++
					continue
				}
			}
			if passed(f) && f["type"] != want["type"] {
				p.read[n]++
				continue
			}
			got = f
			return true
		}
		return false
	})
	if !found {
		return fmt.Errorf("nothing came within %v", within)
	}
	p.read[n]++
	if !p.match(want, got, true) {
		return fmt.Errorf("the client sent %v", got)
	}
	return nil
}

// scan notes the acks among the frames not looked at, and returns the first
// frame that is neither an ack nor passed over.
func (p *play) scan(n int) map[string]any {
	for _, f := range p.frames[n][p.read[n]:] {
		switch {
		case f["type"] == wire.TypeAck:
			p.acked[n] = append(p.acked[n], f["cursor"])
		case !passed(f):
			return f
		}
	}
	return nil
}

func (p *play) silence(d time.Duration) error {
	p.advance(d, nil)
	for n := range p.frames { // of this life
		if f := p.scan(n); f != nil {
			return fmt.Errorf("the client sent %v", f)
		}
	}
	return nil
}

// match compares a frame's fields; with bind set, names without a value get theirs.
func (p *play) match(want, got any, bind bool) bool {
	switch want := want.(type) {
	case map[string]any:
		if v, ok := want["above"]; ok {
			return number(got) > number(p.fill(v))
		}
		if v, ok := want["equal"]; ok {
			return number(got) == number(p.fill(v))
		}
		g, ok := got.(map[string]any)
		if !ok {
			return false
		}
		for k, w := range want {
			v, there := g[k]
			if w == nil {
				if there {
					return false
				}
				continue
			}
			if !there || !p.match(w, v, bind) {
				return false
			}
		}
		return true
	case string:
		if strings.HasPrefix(want, "$") {
			v, known := p.names[want]
			if !known {
				if bind {
					p.names[want] = got
				}
				return true
			}
			return reflect.DeepEqual(v, got)
		}
	}
	return reflect.DeepEqual(want, got)
}

// fill replaces names by their values.
func (p *play) fill(v any) any {
	switch v := v.(type) {
	case string:
		if known, ok := p.names[v]; ok {
			return known
		}
		return v
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = p.fill(v[i])
		}
		return out
	case map[string]any:
		out := map[string]any{}
		for k, w := range v {
			name, ok := p.fill(k).(string)
			if !ok {
				name = k
			}
			out[name] = p.fill(w)
		}
		return out
	}
	return v
}

func (p *play) user(a map[string]any, as any) error {
	switch {
	case a["send"] != nil:
		s := a["send"].(map[string]any)
		replyTo, _ := s["reply_to"].(string)
		id := p.m.write(p.now, s["to"].(string), s["body"].(string), replyTo)
		if name, ok := as.(string); ok {
			p.names[name] = id
		}
	case a["read"] != nil:
		r := a["read"].(map[string]any)
		p.m.seen(p.now, r["conversation"].(string), chat.Micros(number(r["at"])))
	case a["open"] != nil:
		p.m.openConversation(p.now, a["open"].(string), false, nil)
	default:
		return fmt.Errorf("unknown action")
	}
	p.settle()
	return nil
}

func (p *play) change(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	var c struct {
		Save []chat.Message
		Read map[string]map[string]chat.Micros
		Down *bool
	}
	if err := json.Unmarshal(b, &c); err != nil {
		return err
	}
	p.arch.messages = append(p.arch.messages, c.Save...)
	for conv, marks := range c.Read {
		if p.arch.read[conv] == nil {
			p.arch.read[conv] = map[string]chat.Micros{}
		}
		for uid, at := range marks {
			p.arch.read[conv][uid] = max(p.arch.read[conv][uid], at)
		}
	}
	if c.Down != nil {
		p.arch.down = *c.Down
	}
	p.settle()
	return nil
}

// see compares the client's state with what is named.
func (p *play) see(want map[string]any) error {
	got := map[string]any{}
	b, err := json.Marshal(p.state())
	if err != nil {
		return err
	}
	if err := unmarshal(b, &got); err != nil {
		return err
	}
	return p.seePart("", want, got)
}

func (p *play) seePart(path string, want, got any) error {
	switch want := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			return fmt.Errorf("%s is %v, want %v", path, got, want)
		}
		for k, w := range want {
			name := fmt.Sprint(p.fill(k))
			if err := p.seePart(path+"/"+name, w, g[name]); err != nil {
				return err
			}
		}
		return nil
	case []any:
		g, _ := got.([]any)
		if len(g) != len(want) {
			return fmt.Errorf("%s is %v, want %v", path, got, want)
		}
		for i := range want {
			if err := p.seePart(fmt.Sprintf("%s[%d]", path, i), want[i], g[i]); err != nil {
				return err
			}
		}
		return nil
	}
	if !p.match(p.fill(want), got, false) {
		return fmt.Errorf("%s is %v, want %v", path, got, p.fill(want))
	}
	return nil
}

// state is the client's state in the form of the scenarios.
func (p *play) state() map[string]any {
	convs, unsent := map[string]any{}, map[string]any{}
	for _, id := range p.store.Conversations() {
		lines := []any{}
		c := p.store.d.conversations[id]
		unread := 0
		for _, l := range p.store.Conversation(id) {
			line := map[string]any{"id": l.ID, "body": l.Body, "at": l.At, "status": l.State.String()}
			if l.From != p.store.uid {
				line["status"] = "received"
				if l.At > max(c.read[p.store.uid], c.unsent) {
					unread++
				}
			}
			if l.Refusal != "" {
				line["code"] = l.Refusal
			}
			lines = append(lines, line)
		}
		convs[id] = map[string]any{"messages": lines, "unread": unread, "read": max(c.read[p.store.uid], c.unsent)}
		if c.unsent > 0 {
			unsent[id] = c.unsent
		}
	}
	ids := []string{}
	for _, debt := range p.store.d.idDebts {
		if debt.id != "" {
			ids = append(ids, debt.id)
		}
	}
	slices.Sort(ids)
	return map[string]any{
		"conversations": convs, "outbox": append([]string{}, p.store.d.outbox...), "unsent_reads": unsent, "cursor": p.store.d.cursor,
		"backfills": map[string]any{"history": p.store.d.historyDebt || len(p.store.d.reloads) > 0, "ids": ids},
	}
}

func number(v any) int64 {
	switch v := v.(type) {
	case json.Number:
		n, _ := v.Int64()
		return n
	case chat.Micros:
		return int64(v)
	}
	return 0
}
