package probe

import (
	"encoding/json"
	"net/http/httptest"
	"testing"
)

var kept [][]byte

func TestFigures(t *testing.T) {
	read := func() (f Figures) {
		w := httptest.NewRecorder()
		Handler().ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		if err := json.NewDecoder(w.Body).Decode(&f); err != nil {
			t.Fatal(err)
		}
		return f
	}
	before := read()
	for range 10_000 {
		kept = append(kept, make([]byte, 1024))
	}
	// The runtime counts small objects when it needs a new span for them, so the newest may be missing.
	if got := read(); got.Objects < before.Objects+9_000 || got.Bytes < before.Bytes+9_000*1024 {
		t.Errorf("%+v after 10,000 allocations, %+v before", got, before)
	}
}
