package script_test

import (
	"reflect"
	"testing"
	"testing/fstest"

	"github.com/phoenixchat/phoenixchat/realtime/redistest"
	"github.com/phoenixchat/phoenixchat/realtime/script"
)

// Only whole names are replaced by constants.
func TestConstants(t *testing.T) {
	text := fstest.MapFS{"lua/limits.lua": {Data: []byte(
		"local max_all, min_max = 7, 8\nif unlimited then return {} end\nreturn {max, max_all, min_max}")}}
	limits := script.Load(text, script.Constants{"max": 3}.With(script.Constants{"unlimited": false}), "limits")
	o := open(t, redistest.Mini(t).Client(t, nil), script.Tuning{})
	got, err := o.Run(t.Context(), script.Call{Script: limits, Keys: []string{"key"}})
	if want := []any{int64(3), int64(7), int64(8)}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v; want %v", got, err, want)
	}
}
