package control_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/phoenixchat/phoenixchat/functions/control"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

type order struct{ Name string }

// Orders reach the system that runs, with its secret only.
func TestControl(t *testing.T) {
	folder := t.TempDir()
	o := order{"a"}
	if _, err := control.Send(t.Context(), folder, "/x", o); !errors.Is(err, control.ErrNotRunning) {
		t.Errorf("where nothing runs: %v", err)
	}
	srv := httptest.NewServer(control.Handle("s3cret", func(_ context.Context, got order) (string, error) {
		if got != o {
			return "", problem.New(problem.NotFound, "x", "Nobody has it.")
		}
		return "Done.", nil
	}))
	t.Cleanup(srv.Close)
	write := func(c control.Address) {
		t.Helper()
		b, err := json.Marshal(c)
		if err == nil {
			err = os.WriteFile(filepath.Join(folder, control.File), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	write(control.Address{URL: srv.URL, Secret: "s3cret"})
	if told, err := control.Send(t.Context(), folder, "/x", o); told != "Done." || err != nil {
		t.Errorf("told is %q, %v", told, err)
	}
	if _, err := control.Send(t.Context(), folder, "/x", order{}); err == nil || err.Error() != "Nobody has it." {
		t.Errorf("a refused order: %v", err)
	}
	write(control.Address{URL: srv.URL, Secret: "wrong"})
	if _, err := control.Send(t.Context(), folder, "/x", o); err == nil || errors.Is(err, control.ErrNotRunning) {
		t.Errorf("with a wrong secret: %v", err)
	}
	write(control.Address{URL: "http://127.0.0.1:1", Secret: "s3cret"})
	if _, err := control.Send(t.Context(), folder, "/x", o); !errors.Is(err, control.ErrNotRunning) {
		t.Errorf("after it has ended: %v", err)
	}
}
