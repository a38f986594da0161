package operator_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"google.golang.org/api/option"

	"github.com/phoenixchat/phoenixchat/functions/operator"
	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// TestCloudRecorder lets an order write to a stand-in of Cloud Logging. The copy has the id of the stored entry.
func TestCloudRecorder(t *testing.T) {
	var written []store.Audit
	status := http.StatusOK
	cloud := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v2/entries:write" {
			t.Errorf("call of %s", r.URL.Path)
		}
		var call struct {
			LogName string
			Entries []struct {
				InsertID    string
				JSONPayload struct{ Audit store.Audit }
			}
		}
		if err := json.NewDecoder(r.Body).Decode(&call); err != nil || call.LogName != "projects/acme-chat/logs/chat-audit" ||
			len(call.Entries) != 1 || call.Entries[0].InsertID != call.Entries[0].JSONPayload.Audit.ID {
			t.Errorf("wrote %+v, %v", call, err)
			return
		}
		written = append([]store.Audit{call.Entries[0].JSONPayload.Audit}, written...)
		w.WriteHeader(status)
		w.Write([]byte("{}"))
	}))
	defer cloud.Close()
	record, err := operator.CloudRecorder(t.Context(), "acme-chat", "", option.WithEndpoint(cloud.URL),
		option.WithoutAuthentication())
	if err != nil {
		t.Fatal(err)
	}
	s := newSystem(t)
	s.deps.Record = record
	order := operator.AdminOrder{Email: "a@example.org", Create: true, By: "root@host"}
	if _, err := operator.SetAdmin(t.Context(), s.deps, order); err != nil {
		t.Fatal(err)
	}
	entries, _, err := s.store.AuditLog(t.Context(), "", 10)
	if err != nil || len(entries) == 0 || !slices.Equal(written, entries) {
		t.Errorf("wrote %+v\nwant %+v, %v", written, entries, err)
	}

	// An order that cannot be written there is not carried out.
	status = http.StatusForbidden
	order.Email = "b@example.org"
	if _, err := operator.SetAdmin(t.Context(), s.deps, order); err == nil {
		t.Error("an order without a record was carried out")
	}
	if _, err := s.store.UserByEmail(t.Context(), "b@example.org"); !errors.Is(err, problem.ErrNotFound) {
		t.Errorf("the user was created: %v", err)
	}
}

func TestCloudRecorderWithEmulator(t *testing.T) {
	record, err := operator.CloudRecorder(context.Background(), "acme-chat", "127.0.0.1:1")
	if record != nil || err != nil {
		t.Errorf("with an emulator, commands must not call Google: %v", err)
	}
}
