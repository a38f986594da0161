package client

import (
	"bytes"
	"encoding/json"
	"errors"
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

// unmarshal decodes numbers as json.Number.
func unmarshal(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	return d.Decode(v)
}

// The scripted scenarios, which the browser client runs as well. The README.md beside them describes the format.
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
			p := &player{
				world: newWorld(t, sc.Me), names: map[string]any{}, socket: map[int]int{},
				acked: map[int][]any{}, read: map[int]int{},
			}
			p.ponging = true
			for i, step := range sc.Steps {
				if err := p.step(step); err != nil {
					js, _ := json.Marshal(step)
					t.Fatalf("step %d %s: %v", i+1, js, err)
				}
			}
			if sc.Final != nil {
				if err := p.checkState(sc.Final); err != nil {
					t.Fatalf("final: %v", err)
				}
			}
		})
	}
}

// player runs one scenario.
type player struct {
	*world
	names  map[string]any
	socket map[int]int // the machine's socket number for each of the scenario's
	last   int         // the scenario's number of the newest socket
	read   map[int]int // by socket: how many frames were examined
	acked  map[int][]any
}

func (p *player) step(s map[string]any) error {
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
			if !p.openRequest[n] {
				return fmt.Errorf("socket %d is closed", on)
			}
			p.serve(n, p.substitute(v))
			return nil
		case "expect":
			return p.expect(n, v.(map[string]any), within)
		case "silence_ms":
			return p.expectNothing(time.Duration(number(v)) * time.Millisecond)
		case "never_acked":
			p.firstUnexpected(n)
			if slices.Contains(p.acked[n], p.substitute(v)) {
				return fmt.Errorf("%v was acknowledged", v)
			}
			return nil
		case "close":
			p.end(n, int(number(v)))
			return nil
		case "closed":
			n := p.socket[int(number(v))]
			if !p.advance(within, func() bool { return !p.openRequest[n] }) {
				return fmt.Errorf("the client keeps socket %v open", v)
			}
			return nil
		case "advance_ms":
			p.advance(time.Duration(number(v))*time.Millisecond, nil)
			return nil
		case "restart":
			p.restart()
			return nil
		case "user":
			return p.userAction(p.substitute(v).(map[string]any), s["as"])
		case "archive":
			return p.changeArchive(p.substitute(v))
		case "see":
			return p.checkState(v.(map[string]any))
		default:
			return fmt.Errorf("unknown step %q", key)
		}
	}
	return errors.New("a step without an action")
}

// ignoredUnlessExpected reports whether a scenario ignores a frame that it does not expect.
func ignoredUnlessExpected(f map[string]any) bool {
	switch f["type"] {
	case wire.TypePing, wire.TypeTyping, wire.TypeWatch:
		return true
	}
	return false
}

func (p *player) expect(n int, want map[string]any, within time.Duration) error {
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
			if ignoredUnlessExpected(f) && f["type"] != want["type"] {
				p.read[n]++
				continue
			}
			got = f
			return true
		}
		return false
	})
	if !found {
		return fmt.Errorf("the client sent nothing within %v", within)
	}
	p.read[n]++
	if !p.match(want, got, true) {
		return fmt.Errorf("the client sent %v", got)
	}
	return nil
}

// firstUnexpected notes the acks among the frames that were not examined yet, and returns the first other frame that
// a scenario does not ignore.
func (p *player) firstUnexpected(n int) map[string]any {
	for _, f := range p.frames[n][p.read[n]:] {
		switch {
		case f["type"] == wire.TypeAck:
			p.acked[n] = append(p.acked[n], f["cursor"])
		case !ignoredUnlessExpected(f):
			return f
		}
	}
	return nil
}

func (p *player) expectNothing(d time.Duration) error {
	p.advance(d, nil)
	for n := range p.frames { // since the last restart
		if f := p.firstUnexpected(n); f != nil {
			return fmt.Errorf("the client sent %v", f)
		}
	}
	return nil
}

// match compares the fields of a frame. With bind, names without a value get the frame's.
func (p *player) match(want, got any, bind bool) bool {
	switch want := want.(type) {
	case map[string]any:
		if v, ok := want["above"]; ok {
			return number(got) > number(p.substitute(v))
		}
		if v, ok := want["equal"]; ok {
			return number(got) == number(p.substitute(v))
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

// substitute replaces names by their values.
func (p *player) substitute(v any) any {
	switch v := v.(type) {
	case string:
		if known, ok := p.names[v]; ok {
			return known
		}
		return v
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = p.substitute(v[i])
		}
		return out
	case map[string]any:
		out := map[string]any{}
		for k, w := range v {
			name, ok := p.substitute(k).(string)
			if !ok {
				name = k
			}
			out[name] = p.substitute(w)
		}
		return out
	}
	return v
}

func (p *player) userAction(a map[string]any, as any) error {
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
		p.m.markSeen(p.now, r["conversation"].(string), chat.Micros(number(r["at"])))
	case a["open"] != nil:
		p.m.openConversation(p.now, a["open"].(string), false, nil)
	default:
		return errors.New("unknown action")
	}
	p.settle()
	return nil
}

func (p *player) changeArchive(v any) error {
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

// checkState compares the named parts of the client's state.
func (p *player) checkState(want map[string]any) error {
	got := map[string]any{}
	b, err := json.Marshal(p.state())
	if err != nil {
		return err
	}
	if err := unmarshal(b, &got); err != nil {
		return err
	}
	return p.checkPart("", want, got)
}

func (p *player) checkPart(path string, want, got any) error {
	switch want := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			return fmt.Errorf("%s is %v, want %v", path, got, want)
		}
		for k, w := range want {
			name := fmt.Sprint(p.substitute(k))
			if err := p.checkPart(path+"/"+name, w, g[name]); err != nil {
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
			if err := p.checkPart(fmt.Sprintf("%s[%d]", path, i), want[i], g[i]); err != nil {
				return err
			}
		}
		return nil
	}
	if !p.match(p.substitute(want), got, false) {
		return fmt.Errorf("%s is %v, want %v", path, got, p.substitute(want))
	}
	return nil
}

// state returns the client's state in the format of the scenarios.
func (p *player) state() map[string]any {
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
	ids, outbox := []string{}, []string{}
	for _, row := range p.store.d.outbox {
		id, _, _ := chat.ParseKey(row.key)
		outbox = append(outbox, id)
	}
	for _, pending := range p.store.d.backfills {
		if id, _, ok := chat.ParseKey(pending.key); ok {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return map[string]any{
		"conversations": convs, "outbox": outbox,
		"unsent_reads": unsent, "cursor": p.store.d.cursor,
		"backfills": map[string]any{"history": p.store.d.gap || len(p.store.d.reloads) > 0, "ids": ids},
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
