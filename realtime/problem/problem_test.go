package problem

import (
	"context"
	"errors"
	"fmt"
	"testing"
)

// Every kind is in the table once, with a status and a close code that the protocol allows.
func TestEveryKindIsInTheTable(t *testing.T) {
	for k := Internal; k <= GoingAway; k++ {
		n := 0
		for _, e := range kinds {
			if e.kind == k {
				n++
			}
		}
		if n != 1 {
			t.Errorf("kind %d is in the table %d times, want once", k, n)
		}
		if s := k.HTTPStatus(); s < 400 || s > 599 {
			t.Errorf("%v: HTTP status %d", k, s)
		}
		if c := k.CloseCode(); !(c >= 1001 && c <= 1014) && !(c >= 4000 && c <= 4999) {
			t.Errorf("%v: close code %d", k, c)
		}
	}
	if len(kinds) != int(GoingAway)+1 {
		t.Errorf("the table has %d rows for %d kinds", len(kinds), GoingAway+1)
	}
}

func TestOf(t *testing.T) {
	if Of(nil) != nil {
		t.Error("Of(nil) is not nil")
	}
	cause := errors.New("dial tcp: refused")
	wrapped := fmt.Errorf("enqueue: %w", ErrUnavailable.WithCause(cause))
	if e := Of(wrapped); e.Code != "unavailable" || !errors.Is(wrapped, cause) || !errors.Is(wrapped, ErrUnavailable) {
		t.Errorf("Of(%v) = %+v", wrapped, e)
	}
	if e := Of(context.DeadlineExceeded); e.Kind != Unavailable || e.RetryAfter == 0 {
		t.Errorf("an exceeded deadline is %+v, want unavailable with a retry", e)
	}
	if e := Of(cause); e.Kind != Internal || e.Message == cause.Error() {
		t.Errorf("an unknown error is %+v, want internal without its text", e)
	}
}
