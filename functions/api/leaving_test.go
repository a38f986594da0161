package api_test

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/phoenixchat/phoenixchat/functions/api"
	"github.com/phoenixchat/phoenixchat/functions/store"
)

// TestExportHasEveryField changes one field of a user after the other: the profile in an export has it, or the reason
// why it does not is given here.
func TestExportHasEveryField(t *testing.T) {
	elsewhere := map[string]string{
		"LastActiveAt": "the use of the devices",
		"Disabled":     "a disabled user cannot ask for an export",
		"ErasingAt":    "neither can one who is leaving",
		"Renamed":      "only limits the next change",
		"Frozen":       "what people see whom the user has blocked",
		"EmailAt":      "when the address was copied",
		"ValidAfter":   "no sign-in, but the end of some", "Ended": "the same", "SignedOut": "the same",
		"SignIns": "the devices", "Devices": "the devices", "Push": "the devices with push",
	}
	profile := func(u store.User) string {
		t.Helper()
		b, err := json.Marshal(api.ExportedProfile(u))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	empty := profile(store.User{})
	for field := range reflect.TypeFor[store.User]().Fields() {
		var u store.User
		fill(t, reflect.ValueOf(&u).Elem().FieldByIndex(field.Index))
		_, excused := elsewhere[field.Name]
		if has := profile(u) != empty; has == excused {
			t.Errorf("an export has the field %s: %v, and a reason why not: %v", field.Name, has, excused)
		}
	}
}

// fill gives v a value other than zero.
func fill(t *testing.T, v reflect.Value) {
	t.Helper()
	switch v.Kind() {
	case reflect.String:
		v.SetString("x")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(1)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(t, v.Index(0))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
	case reflect.Struct:
		fill(t, v.Field(0))
	default:
		t.Fatalf("no value of type %v", v.Type())
	}
}
