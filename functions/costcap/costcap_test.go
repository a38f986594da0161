package costcap

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/cloudevents/sdk-go/v2/event"
	"google.golang.org/api/option"
)

// services stands in for the Cloud Run API: the scaling of each service by name.
type services struct {
	t       *testing.T
	scaling map[string]string
	changed []string
	fail    string // name of a service that cannot be changed
}

const path = "/v2/projects/acme-chat/locations/europe-west1/services/"

func (s *services) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name, ok := strings.CutPrefix(r.URL.Path, path)
	if _, exists := s.scaling[name]; !ok || !exists {
		http.Error(w, "{}", http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	switch r.Method {
	case http.MethodGet:
		fmt.Fprintf(w, `{"scaling": %s}`, s.scaling[name])
	case http.MethodPatch:
		if name == s.fail {
			http.Error(w, "{}", http.StatusServiceUnavailable)
			return
		}
		if mask := r.URL.Query().Get("updateMask"); mask != "scaling.scalingMode,scaling.manualInstanceCount" {
			s.t.Errorf("changes %q of %s", mask, name)
		}
		body, err := io.ReadAll(r.Body)
		var in struct{ Scaling json.RawMessage }
		if err != nil || json.Unmarshal(body, &in) != nil {
			s.t.Errorf("%s, %v", body, err)
		}
		s.scaling[name] = string(in.Scaling)
		s.changed = append(s.changed, name)
		fmt.Fprint(w, `{}`)
	}
}

// notify returns the event of a notification.
func notify(t *testing.T, data string) event.Event {
	t.Helper()
	e := event.New()
	err := e.SetData(event.ApplicationJSON, map[string]any{"message": map[string]any{"data": []byte(data)}})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func start(t *testing.T, percent int) (*Cap, *services) {
	t.Helper()
	s := &services{t: t, scaling: map[string]string{"chat": `{}`, "me": `{"scalingMode":"AUTOMATIC"}`}}
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	c, err := New(t.Context(), Options{Project: "acme-chat", Region: "europe-west1", Services: []string{"chat", "me"},
		Percent: percent, Log: slog.New(slog.DiscardHandler),
		Client: []option.ClientOption{option.WithEndpoint(srv.URL), option.WithoutAuthentication()}})
	if err != nil {
		t.Fatal(err)
	}
	return c, s
}

const off = `{"manualInstanceCount":0,"scalingMode":"MANUAL"}`

func TestCap(t *testing.T) {
	for name, c := range map[string]struct {
		percent int
		data    string
		off     bool
	}{
		"below":              {200, `{"costAmount": 199.99, "budgetAmount": 100}`, false},
		"at the cap":         {200, `{"costAmount": 200, "budgetAmount": 100}`, true},
		"the cap is off":     {0, `{"costAmount": 1000, "budgetAmount": 100}`, false},
		"no budget":          {200, `{"costAmount": 1000}`, false},
		"not a notification": {200, `"text"`, false},
	} {
		t.Run(name, func(t *testing.T) {
			limit, s := start(t, c.percent)
			for range 2 { // a repeated notification changes nothing more
				if err := limit.Handle(t.Context(), notify(t, c.data)); err != nil {
					t.Fatal(err)
				}
			}
			want := []string{"chat", "me"}
			if !c.off {
				want = nil
			}
			if !slices.Equal(s.changed, want) {
				t.Errorf("changed %q, want %q", s.changed, want)
			}
			for name, scaling := range s.scaling {
				if c.off && scaling != off {
					t.Errorf("%s has the scaling %s", name, scaling)
				}
			}
		})
	}
}

// A service that cannot be switched off does not keep the others on, and the notification is delivered again.
func TestCapIsRetried(t *testing.T) {
	limit, s := start(t, 100)
	s.fail = "chat"
	err := limit.Handle(t.Context(), notify(t, `{"costAmount": 100, "budgetAmount": 100}`))
	if err == nil || !strings.Contains(err.Error(), "switch off chat") || !slices.Equal(s.changed, []string{"me"}) {
		t.Errorf("changed %q, error %v", s.changed, err)
	}
	s.fail = ""
	err = limit.Handle(t.Context(), notify(t, `{"costAmount": 100, "budgetAmount": 100}`))
	if err != nil || !slices.Equal(s.changed, []string{"me", "chat"}) {
		t.Errorf("changed %q, error %v", s.changed, err)
	}
}
