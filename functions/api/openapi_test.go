package api_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"

	"github.com/phoenixchat/phoenixchat/functions/api"
)

// description loads and validates openapi.yaml.
var description = sync.OnceValues(func() (*openapi3.T, error) {
	doc, err := openapi3.NewLoader().LoadFromFile("../openapi.yaml")
	if err != nil {
		return nil, err
	}
	doc.Servers = openapi3.Servers{{URL: "/api"}} // as in the tests
	for _, file := range []string{"text/csv", "image/webp", "image/jpeg"} {
		openapi3filter.RegisterBodyDecoder(file, openapi3filter.FileBodyDecoder)
	}
	return doc, doc.Validate(openapi3.NewLoader().Context)
})

var router = sync.OnceValues(func() (routers.Router, error) {
	doc, err := description()
	if err != nil {
		return nil, err
	}
	return legacy.NewRouter(doc)
})

// validated has the calls and answers that validate has checked. A flood repeats one of them thousands of times.
var validated sync.Map

// validate checks an answer of a handler against the description. All tests of this package use it.
func validate(t testing.TB, r *http.Request, in any, w *httptest.ResponseRecorder) {
	t.Helper()
	find, err := router()
	if err != nil {
		t.Fatal(err)
	}
	if r.Method == http.MethodOptions {
		return
	}
	once := fmt.Sprint(r.Method, " ", r.URL.Path, " ", w.Code, w.Result().Header, w.Body)
	if _, known := validated.LoadOrStore(once, true); known {
		return
	}
	route, params, err := find.FindRoute(r)
	if err != nil { // a call that is not described must be refused
		if w.Code != http.StatusNotFound && w.Code != http.StatusMethodNotAllowed {
			t.Errorf("%s %s: status %d, but the call is not described (%v)", r.Method, r.URL.Path, w.Code, err)
		}
		return
	}
	err = openapi3filter.ValidateResponse(r.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: r, PathParams: params, Route: route},
		Status:                 w.Code, Header: w.Result().Header, Body: readCloser{bytes.NewReader(w.Body.Bytes())},
		Options: &openapi3filter.Options{IncludeResponseStatus: true},
	})
	if err != nil {
		t.Errorf("%s %s: the answer differs from the description: %v\n%.500s", r.Method, r.URL.Path, err, w.Body)
	}
}

type readCloser struct{ *bytes.Reader }

func (readCloser) Close() error { return nil }

// Every endpoint is described, and every described endpoint exists.
func TestEveryEndpointIsDescribed(t *testing.T) {
	doc, err := description()
	if err != nil {
		t.Fatal(err)
	}
	var described []string
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			described = append(described, method+" "+path)
			if op.Summary == "" || op.Responses.Default() == nil {
				t.Errorf("%s %s lacks a summary or a default response", method, path)
			}
			open := op.Security != nil && len(*op.Security) == 0
			if open != strings.HasPrefix(path, "/signup") {
				t.Errorf("%s %s: needs a token: %v", method, path, !open)
			}
		}
	}
	slices.Sort(described)
	have := api.New(api.Deps{}).Endpoints()
	slices.Sort(have)
	if !slices.Equal(described, have) {
		t.Errorf("described:\n%s\nexisting:\n%s", strings.Join(described, "\n"), strings.Join(have, "\n"))
	}
}
