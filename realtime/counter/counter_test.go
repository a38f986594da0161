package counter

import (
	"encoding/json"
	"testing"
)

func TestCountersAreWrittenAsNumbers(t *testing.T) {
	var c struct {
		Sent  Count
		Open  Gauge
		Unset Gauge
	}
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
}
