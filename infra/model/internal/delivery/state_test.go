package delivery

import (
	"reflect"
	"testing"
)

// TestStateIsPlainBytes checks that the hash of a state's bytes tells states apart: there are no pointers, and no
// padding whose bytes mean nothing.
func TestStateIsPlainBytes(t *testing.T) {
	var s State
	if whole, sum := int(reflect.TypeOf(s).Size()), plainSize(t, reflect.TypeOf(s)); whole != sum {
		t.Errorf("a state has %d bytes of padding; put the fields in another order", whole-sum)
	}
}

// plainSize returns the size of a type without padding.
func plainSize(t *testing.T, typ reflect.Type) int {
	t.Helper()
	switch typ.Kind() {
	case reflect.Struct:
		sum := 0
		for i := range typ.NumField() {
			sum += plainSize(t, typ.Field(i).Type)
		}
		return sum
	case reflect.Array:
		return typ.Len() * plainSize(t, typ.Elem())
	case reflect.Bool, reflect.Uint8, reflect.Uint32:
		return int(typ.Size())
	}
	t.Fatalf("a state has a field of type %v; use bool, uint8 or uint32", typ)
	return 0
}

// TestRenumberKeepsOrder checks the mapping of stream IDs on a state with gaps.
func TestRenumberKeepsOrder(t *testing.T) {
	var s State
	b := &s.inbox[0]
	b.events[0].id, b.events[1].id, b.count = 7, 20, 2
	b.last, b.floor, b.settled = 20, 3, 7
	s.newestID[0] = 31
	s.device[deviceA0].cursor = 7
	s.device[deviceB0].cursor = 50 // of the other user
	s.renumber(0)
	got := []streamID{b.floor, b.events[0].id, b.settled, s.device[deviceA0].cursor, b.events[1].id, b.last, s.newestID[0]}
	if want := []streamID{1, 2, 2, 2, 3, 3, 4}; !reflect.DeepEqual(got, want) {
		t.Errorf("renumbered to %v, want %v", got, want)
	}
	if s.device[deviceB0].cursor != 50 {
		t.Errorf("the other user's cursor became %d", s.device[deviceB0].cursor)
	}
}

// TestScenariosParse checks the named scenarios and some mistakes.
func TestScenariosParse(t *testing.T) {
	names := map[string]bool{}
	for _, s := range Scenarios {
		if err := s.Parse(); err != nil {
			t.Errorf("%s: %v", s.Name, err)
		}
		if names[s.Name] {
			t.Errorf("two scenarios are called %s", s.Name)
		}
		names[s.Name] = true
	}
	for _, s := range []Scenario{
		{Messages: 0, Devices: "A0+ B0+"},
		{Messages: 4, Devices: "A0+ B0+"},
		{Messages: 1, Devices: "A0+"},
		{Messages: 1, Devices: "A0+ B0"},
		{Messages: 1, Devices: "A0+ B0+ C0+"},
		{Messages: 1, Devices: "A0+ B0+", Retain: -1},
	} {
		if err := s.Parse(); err == nil {
			t.Errorf("scenario %+v was accepted", s)
		}
	}
}
