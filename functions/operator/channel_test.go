package operator_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/phoenixchat/phoenixchat/functions/operator"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

type order struct{ Name string }

// An order reaches the running chat only with its secret.
func TestChannel(t *testing.T) {
	folder := t.TempDir()
	o := order{"a"}
	if _, err := operator.Send(t.Context(), folder, "/x", o); !errors.Is(err, operator.ErrNotRunning) {
		t.Errorf("without a running chat: error %v, want ErrNotRunning", err)
	}
	srv := httptest.NewServer(operator.Handle("s3cret", func(_ context.Context, got order) (string, error) {
		if got != o {
			return "", problem.New(problem.NotFound, "x", "Nobody has it.")
		}
		return "Done.", nil
	}))
	t.Cleanup(srv.Close)
	write := func(c operator.Address) {
		t.Helper()
		b, err := json.Marshal(c)
		if err == nil {
			err = os.WriteFile(filepath.Join(folder, operator.File), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	write(operator.Address{URL: srv.URL, Secret: "s3cret"})
	if answer, err := operator.Send(t.Context(), folder, "/x", o); answer != "Done." || err != nil {
		t.Errorf("answer %q, %v", answer, err)
	}
	if _, err := operator.Send(t.Context(), folder, "/x", order{}); err == nil || err.Error() != "Nobody has it." {
		t.Errorf("a refused order: %v", err)
	}
	write(operator.Address{URL: srv.URL, Secret: "wrong"})
	if _, err := operator.Send(t.Context(), folder, "/x", o); err == nil || errors.Is(err, operator.ErrNotRunning) {
		t.Errorf("with a wrong secret: %v", err)
	}
	write(operator.Address{URL: "http://127.0.0.1:1", Secret: "s3cret"})
	if _, err := operator.Send(t.Context(), folder, "/x", o); !errors.Is(err, operator.ErrNotRunning) {
		t.Errorf("after it has ended: %v", err)
	}
}
