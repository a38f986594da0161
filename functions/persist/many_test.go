package persist

import (
	"fmt"
	"testing"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/delivery"
)

// Of a thousand messages whose times differ by a microsecond each, none is missing.
func TestEveryMessageIsSaved(t *testing.T) {
	f := newFixture(t)
	const pushes, size = 5, 200
	for n := range pushes {
		var batch delivery.Batch
		for i := range size {
			at := t0.Add(time.Duration(n*size+i) * time.Microsecond)
			batch.Delivered = append(batch.Delivered, message1("ada", "bob", "x", at))
		}
		if code := f.push(fmt.Sprint(n), data(t, batch)); code != 200 {
			t.Fatalf("status %d", code)
		}
	}
	saved, err := f.store.MessagesOn(t.Context(), t0.Format(time.DateOnly))
	if err != nil {
		t.Fatal(err)
	}
	if saved != pushes*size {
		t.Errorf("%d of %d messages are saved", saved, pushes*size)
	}
}
