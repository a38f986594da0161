package counter

import (
	"encoding/json"
	"testing"
)

type counters struct {
	Sent  Count
	Open  Gauge
	Unset Gauge
}

func TestCountersAreWrittenAndReadAsNumbers(t *testing.T) {
	var c counters
	c.Sent.Add(3)
	c.Sent.Add(2)
	c.Open.Read = func() int64 { return 7 }
	b, err := json.Marshal(&c)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(b), `{"Sent":5,"Open":7,"Unset":0}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	var back counters
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	if back.Sent.Load() != 5 || back.Open.Load() != 7 || back.Unset.Load() != 0 {
		t.Errorf("read back %d, %d, %d; want 5, 7, 0", back.Sent.Load(), back.Open.Load(), back.Unset.Load())
	}
	if err := json.Unmarshal([]byte(`{"Sent":"5"}`), &back); err == nil {
		t.Error("a string was read as a count")
	}
}
