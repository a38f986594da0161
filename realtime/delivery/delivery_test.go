package delivery

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
)

const id = "019a0000-0000-7000-8000-000000000001"

func good() Delivered {
	return Delivered{
		Message: chat.Message{ID: id, Conversation: "ann~bob", From: "ann", To: "bob",
			Body: "hello", At: 1_700_000_000_000_000, AcceptedAt: 1_700_000_000_000_001},
		DeliveredAt: 1_700_000_000_000_002,
	}
}

func TestRoundTrip(t *testing.T) {
	b := Batch{Delivered: []Delivered{good()}, Read: []Read{{Conversation: "ann~bob", By: "bob", At: 5}}}
	data, err := b.Encode()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	d, err := DecodeDelivered(raw.Delivered[0])
	if err != nil || !reflect.DeepEqual(d, good()) {
		t.Errorf("DecodeDelivered = %+v, %v", d, err)
	}
	r, err := DecodeRead(raw.Read[0])
	if err != nil || r != b.Read[0] {
		t.Errorf("DecodeRead = %+v, %v", r, err)
	}
}

// The names of the fields are a contract with the data that is already queued in Pub/Sub.
func TestFieldNames(t *testing.T) {
	data, err := Batch{Delivered: []Delivered{good()}}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	want := `{"v":1,"delivered":[{"id":"` + id + `","conversation":"ann~bob","from":"ann","to":"bob","body":"hello",` +
		`"at":1700000000000000,"accepted_at":1700000000000001,"delivered_at":1700000000000002}]}`
	if string(data) != want {
		t.Errorf("encoded as\n%s\nwant\n%s", data, want)
	}
}

func TestDecodeRejectsInvalidData(t *testing.T) {
	for _, data := range []string{"", "null", "[]", `"x"`, `{"v":3}`, `{"delivered":[]}`, `{"v":1,"delivered":7}`} {
		if _, err := Decode([]byte(data)); err == nil {
			t.Errorf("Decode(%q) returned no error", data)
		}
	}
}

func TestMalformedEntryDoesNotAffectOthers(t *testing.T) {
	ok, err := json.Marshal(good())
	if err != nil {
		t.Fatal(err)
	}
	raw, err := Decode([]byte(`{"v":1,"delivered":[{"id":7},` + string(ok) + `]}`))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := DecodeDelivered(raw.Delivered[0]); err == nil {
		t.Error("the malformed entry returned no error")
	}
	if _, err := DecodeDelivered(raw.Delivered[1]); err != nil {
		t.Errorf("the valid entry returned %v", err)
	}
}

func TestCheckDelivered(t *testing.T) {
	for name, change := range map[string]func(*Delivered){
		"no id":                      func(d *Delivered) { d.ID = "" },
		"path in the id":             func(d *Delivered) { d.ID = "../../users/ann" },
		"another conversation":       func(d *Delivered) { d.Conversation = "bob~eve" },
		"sender not a member":        func(d *Delivered) { d.From = "eve" },
		"recipient not the other":    func(d *Delivered) { d.To = "ann" },
		"empty body":                 func(d *Delivered) { d.Body = "" },
		"long body":                  func(d *Delivered) { d.Body = strings.Repeat("x", chat.MaxBody+1) },
		"no at":                      func(d *Delivered) { d.At = 0 },
		"no accepted_at":             func(d *Delivered) { d.AcceptedAt = 0 },
		"delivered before the epoch": func(d *Delivered) { d.DeliveredAt = -1 },
		"invalid reply_to":           func(d *Delivered) { d.ReplyTo = "x" },
		"reply_to without a sender":  func(d *Delivered) { d.ReplyTo = d.ID },
		"reply_to of a third person": func(d *Delivered) { d.ReplyTo = chat.KeyOf(d.ID, "eve") },
	} {
		d := good()
		change(&d)
		if err := d.Check(); err == nil {
			t.Errorf("%s: no error", name)
		} else if strings.Contains(err.Error(), "hello") {
			t.Errorf("%s: the error contains the body: %v", name, err)
		}
	}
	for _, raw := range []string{
		`{"conversation":"ann~bob","by":"eve","at":1}`,
		`{"conversation":"bob~ann","by":"ann","at":1}`,
		`{"conversation":"ann~bob","by":"bob"}`,
		`[]`,
	} {
		if _, err := DecodeRead(json.RawMessage(raw)); err == nil {
			t.Errorf("DecodeRead(%s) returned no error", raw)
		}
	}
}

func goodChange() Changed {
	return Changed{Change: chat.Change{ID: "019a0000-0000-7000-8000-000000000002", Conversation: "ann~bob", From: "ann",
		To: "bob", At: 7, AcceptedAt: 8, Kind: chat.KindEdit, Body: "hello",
		Of: chat.Target{ID: "019a0000-0000-7000-8000-000000000001", From: "ann", At: 5}}, DeliveredAt: 9}
}

func TestCheckChanged(t *testing.T) {
	if err := goodChange().Check(); err != nil {
		t.Errorf("a valid change: %v", err)
	}
	for name, change := range map[string]func(*Changed){
		"no id":                   func(c *Changed) { c.ID = "" },
		"another conversation":    func(c *Changed) { c.Conversation = "bob~eve" },
		"recipient not the other": func(c *Changed) { c.To = "ann" },
		"no accepted_at":          func(c *Changed) { c.AcceptedAt = 0 },
		"not delivered":           func(c *Changed) { c.DeliveredAt = 0 },
		"as old as its message":   func(c *Changed) { c.At = 5 },
		"path in the message id":  func(c *Changed) { c.Of.ID = "../../users/ann" },
		"of a third person":       func(c *Changed) { c.Of.From = "eve" },
		"of the other person":     func(c *Changed) { c.Of.From = "bob" },
		"unknown kind":            func(c *Changed) { c.Kind = "pin" },
		"empty body":              func(c *Changed) { c.Body = "" },
		"letters":                 func(c *Changed) { c.Kind, c.Body, c.Emoji = chat.KindReact, "", "ok" },
	} {
		c := goodChange()
		change(&c)
		if err := c.Check(); err == nil {
			t.Errorf("%s: no error", name)
		} else if strings.Contains(err.Error(), "hello") {
			t.Errorf("%s: the error contains the body: %v", name, err)
		}
	}
	d := good()
	d.Changes = goodChange().Changes()
	if d.Check() == nil {
		t.Error("a message with changes is accepted")
	}
}

// Data with changes has another version, so that a program that does not know of them does not lose them.
func TestVersionOfChanges(t *testing.T) {
	entry, err := json.Marshal(goodChange())
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := Batch{Delivered: []Delivered{good()}, Changed: []Changed{goodChange()}}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	for _, data := range [][]byte{encoded, Raw{Changed: []json.RawMessage{entry}}.Encode()} {
		raw, err := Decode(data)
		if err != nil || raw.V != VersionChanges {
			t.Fatalf("version %d, %v", raw.V, err)
		}
		if c, err := DecodeChanged(raw.Changed[0]); err != nil || !reflect.DeepEqual(c, goodChange()) {
			t.Errorf("DecodeChanged = %+v, %v", c, err)
		}
	}
	if raw, err := Decode(Raw{Read: []json.RawMessage{[]byte("{}")}}.Encode()); err != nil || raw.V != Version {
		t.Errorf("data without changes has version %d, %v", raw.V, err)
	}
	if _, err := Decode([]byte(`{"v":3}`)); err == nil {
		t.Error("a later version is accepted")
	}
}
