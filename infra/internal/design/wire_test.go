package design

import (
	"encoding/json"
	"go/ast"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/problem"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// serverFrames are the frames that a server sends, and events those that they carry. TestFrames and TestEvents find a
// constant that is missing here.
var (
	serverFrames = map[string]any{
		wire.TypeWelcome: wire.Welcome{}, wire.TypeEvent: wire.EventFrame{}, wire.TypeCaughtUp: wire.CaughtUp{},
		wire.TypeSent: wire.Sent{}, wire.TypePresence: wire.Presence{}, wire.TypeTyping: wire.Typing{},
		wire.TypeProfile: wire.Profile{},
		wire.TypeGoaway:  wire.Goaway{}, wire.TypeError: wire.ErrorFrame{}, wire.TypePong: wire.Pong{},
	}
	events = map[string]any{
		wire.EventMessage: wire.MessageEvent{}, wire.EventSent: wire.MessageEvent{},
		wire.EventDelivered: wire.DeliveredEvent{}, wire.EventRefused: wire.RefusedEvent{}, wire.EventRead: wire.ReadEvent{},
		wire.EventCorrected: wire.CorrectedEvent{}, wire.EventSetting: wire.SettingEvent{},
		wire.EventChange: wire.ChangeEvent{}, wire.EventChanged: wire.ChangeEvent{},
	}
)

// tagged returns the fields of a struct as its JSON tags name them, without "type", which the first column has.
func tagged(s reflect.Type) map[string]field {
	all := map[string]field{}
	for i := range s.NumField() {
		f := s.Field(i)
		if f.Anonymous {
			for name, in := range tagged(f.Type) {
				all[name] = in
			}
			continue
		}
		name, rest, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" || name == "type" {
			continue
		}
		made := field{optional: strings.Contains(rest, "omitempty")}
		inner := f.Type
		if inner.Kind() == reflect.Slice {
			inner = inner.Elem()
		}
		if inner.Kind() == reflect.Struct {
			for i := range inner.NumField() {
				name, _, _ := strings.Cut(inner.Field(i).Tag.Get("json"), ",")
				made.nested = append(made.nested, name)
			}
		}
		all[name] = made
	}
	return all
}

// sameFields compares the fields of one frame or event, their optional marks and what is nested in them.
func sameFields(t *testing.T, what string, page, code map[string]field) {
	t.Helper()
	same(t, what, page, code)
	for name, p := range page {
		c, ok := code[name]
		if !ok {
			continue
		}
		if p.optional != c.optional {
			t.Errorf("%s: %s has %q optional: %v, the code: %v", what, pagePath, name, p.optional, c.optional)
		}
		slices.Sort(p.nested)
		slices.Sort(c.nested)
		if !slices.Equal(p.nested, c.nested) {
			t.Errorf("%s: %s has %v in %q, the code %v", what, pagePath, p.nested, name, c.nested)
		}
	}
}

// byFirst returns the rows of a table by the word in their first cell.
func (tb table) byFirst(t testing.TB) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	for _, row := range tb.rows {
		first := words(row[0])
		if len(first) != 1 || all[first[0]] != nil {
			t.Fatalf("the row %q does not begin with one word of its own", row)
		}
		all[first[0]] = row
	}
	return all
}

func TestFrames(t *testing.T) {
	tables := pageSection(t, 4).tables("frame")
	if len(tables) != 2 {
		t.Fatalf("section 4 has %d tables of frames, want 2", len(tables))
	}
	client, server := tables[0].byFirst(t), tables[1].byFirst(t)

	fromClient, fromServer := map[string]string{}, map[string]string{}
	for v, name := range parse(t, "realtime/wire").constants(t, "Type") {
		if (wire.ClientFrame{Type: v}).Known() {
			fromClient[v] = name
		}
		frame, err := wire.DecodeServer([]byte(`{"type":"` + v + `"}`))
		if _, unknown := frame.(wire.Unknown); err != nil || !unknown {
			fromServer[v] = name
		}
	}
	same(t, "frames of a client", client, fromClient)
	same(t, "frames of a server", server, fromServer)
	same(t, "serverFrames of this test", serverFrames, fromServer)
	for name, frame := range serverFrames {
		if row, ok := server[name]; ok {
			sameFields(t, "server frame "+name, fields(row[1]), tagged(reflect.TypeOf(frame)))
		}
	}

	// A client frame is one struct for all types. The golden frames show which type has which of its fields.
	var golden []struct {
		Frame   json.RawMessage
		Valid   bool
		Ignored bool
	}
	if err := json.Unmarshal([]byte(readFile(t, "realtime/wire/testdata/frames/client.json")), &golden); err != nil {
		t.Fatal(err)
	}
	known, used := tagged(reflect.TypeFor[wire.ClientFrame]()), map[string]map[string]field{}
	for _, g := range golden {
		var frame map[string]json.RawMessage
		if !g.Valid || g.Ignored || json.Unmarshal(g.Frame, &frame) != nil {
			continue
		}
		kind, err := strconv.Unquote(string(frame["type"]))
		if err != nil {
			t.Fatal(err)
		}
		if used[kind] == nil {
			used[kind] = map[string]field{}
		}
		for name := range frame {
			if f, ok := known[name]; ok {
				used[kind][name] = f
			}
		}
	}
	all := map[string]field{}
	for name, row := range client {
		page := fields(row[1])
		same(t, "client frame "+name, page, used[name])
		for f := range page {
			all[f] = page[f]
		}
	}
	same(t, "fields of wire.ClientFrame", all, known)
}

func TestEvents(t *testing.T) {
	page := pageSection(t, 4).table(t, "event").byFirst(t)
	same(t, "events", page, parse(t, "realtime/wire").constants(t, "Event"))
	same(t, "events of this test", events, page)
	for name, event := range events {
		row, ok := page[name]
		if !ok {
			continue
		}
		if as, ok := strings.CutPrefix(row[1], "as "); ok {
			row = page[strings.Trim(as, "`")]
		}
		sameFields(t, "event "+name, fields(row[1]), tagged(reflect.TypeOf(event)))
	}
}

func TestGoawayReasons(t *testing.T) {
	row := pageSection(t, 4).tables("frame")[1].byFirst(t)[wire.TypeGoaway]
	same(t, "reasons of goaway", setOf(within(row[1], "reason")...), parse(t, "realtime/wire").constants(t, "Goaway"))
}

// problems returns the codes of the problems that realtime/ has, with the kinds that each code has.
func problems(t *testing.T) map[string][]string { return problemsBelow(t, "realtime") }

// problemsBelow is like problems, for the packages below a folder.
func problemsBelow(t *testing.T, folder string) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	for _, dir := range packages(t, folder) {
		s := parse(t, dir)
		for _, f := range s.files {
			ast.Inspect(f, func(n ast.Node) bool {
				var kind, code ast.Expr
				switch n := n.(type) {
				case *ast.CallExpr:
					name := method(n)
					switch {
					case name == "New" && len(n.Args) == 3:
						kind, code = n.Args[0], n.Args[1]
					case name == "Wrap" && len(n.Args) == 4:
						kind, code = n.Args[1], n.Args[2]
					}
				case *ast.CompositeLit:
					for _, e := range n.Elts {
						if kv, ok := e.(*ast.KeyValueExpr); ok {
							switch id, _ := kv.Key.(*ast.Ident); {
							case id == nil:
							case id.Name == "Kind":
								kind = kv.Value
							case id.Name == "Code":
								code = kv.Value
							}
						}
					}
				}
				if kind == nil || code == nil {
					return true
				}
				c, ok := s.text(t, code)
				if !ok {
					return true
				}
				switch kind := kind.(type) {
				case *ast.SelectorExpr:
					found[c] = append(found[c], kind.Sel.Name)
				case *ast.Ident: // in package problem itself
					found[c] = append(found[c], kind.Name)
				}
				return true
			})
		}
	}
	return found
}

var closeRow = regexp.MustCompile(`^close (\d{4})`)

// TestErrorCodes compares the codes of the error table with those that realtime/ has, and the close codes with the
// kinds that the code has.
func TestErrorCodes(t *testing.T) {
	have := problems(t)
	kinds := map[string]problem.Kind{}
	for k := problem.Internal; !strings.HasPrefix(k.String(), "kind("); k++ {
		kinds[strings.ReplaceAll(k.String(), "_", "")] = k
	}
	page, closing := map[string]bool{}, map[string]bool{}
	for _, row := range pageSection(t, 4).table(t, "effect").rows {
		for _, c := range words(row[1]) {
			page[c] = true
			m := closeRow.FindStringSubmatch(row[0])
			if m == nil {
				continue
			}
			closing[c] = true
			fits := false
			for _, name := range have[c] {
				kind, ok := kinds[strings.ToLower(name)]
				if !ok {
					t.Fatalf("%s: package problem has no kind %s", c, name)
				}
				fits = fits || strconv.Itoa(kind.CloseCode()) == m[1]
			}
			if !fits {
				t.Errorf("error code %s: %s has close code %s, the code has kinds %v", c, pagePath, m[1], have[c])
			}
		}
	}
	same(t, "error codes", page, have)
	// Every error of package session ends a socket, but a rate limit, which does both.
	session := parse(t, "realtime/session")
	for _, f := range session.files {
		ast.Inspect(f, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok && method(call) == "New" && len(call.Args) == 3 {
				if c, ok := session.text(t, call.Args[1]); ok && !closing[c] {
					t.Errorf("error code %s of package session is in no row of close codes", c)
				}
			}
			return true
		})
	}
}

// TestRetries compares the times after which a refused message may be sent again.
func TestRetries(t *testing.T) {
	var row []string
	for _, r := range pageSection(t, 4).table(t, "effect").rows {
		if r[0] == "message refused for now" {
			row = r
		}
	}
	if row == nil {
		t.Fatal("the error table has no row for messages that are refused for now")
	}
	for c, after := range retries {
		if want := "`" + c + "` (" + strconv.Itoa(int(after/time.Second)) + " s)"; !strings.Contains(row[1], want) {
			t.Errorf("the row %q does not have %q, as the code does", row[0], want)
		}
	}
}
