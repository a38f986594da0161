package api_test

import (
	"bytes"
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

// description is openapi.yaml, checked.
var description = sync.OnceValues(func() (*openapi3.T, error) {
	doc, err := openapi3.NewLoader().LoadFromFile("../openapi.yaml")
	if err != nil {
		return nil, err
	}
	doc.Servers = openapi3.Servers{{URL: "/api"}} // the one that tests call
	openapi3filter.RegisterBodyDecoder("text/csv", openapi3filter.FileBodyDecoder)
	return doc, doc.Validate(openapi3.NewLoader().Context)
})

var router = sync.OnceValues(func() (routers.Router, error) {
	doc, err := description()
	if err != nil {
		return nil, err
	}
	return legacy.NewRouter(doc)
})

// validate holds what a handler answered, in any test of this package, against the description.
func validate(t testing.TB, r *http.Request, in any, w *httptest.ResponseRecorder) {
	t.Helper()
	find, err := router()
	if err != nil {
		t.Fatal(err)
	}
	if r.Method == http.MethodOptions {
		return
	}
	route, params, err := find.FindRoute(r)
	if err != nil { // the description has no such call: then it must not be answered either
		if w.Code != http.StatusNotFound && w.Code != http.StatusMethodNotAllowed {
			t.Errorf("%s %s is answered %d and not described (%v)", r.Method, r.URL.Path, w.Code, err)
		}
		return
	}
	err = openapi3filter.ValidateResponse(r.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: r, PathParams: params, Route: route},
		Status:                 w.Code, Header: w.Result().Header, Body: readCloser{bytes.NewReader(w.Body.Bytes())},
		Options: &openapi3filter.Options{IncludeResponseStatus: true},
	})
	if err != nil {
		t.Errorf("%s %s: the answer is not as described: %v\n%.500s", r.Method, r.URL.Path, err, w.Body)
	}
}

type readCloser struct{ *bytes.Reader }

func (readCloser) Close() error { return nil }

// Every endpoint is described, and every described one exists.
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
				t.Errorf("%s %s has no summary or no default response", method, path)
			}
			open := op.Security != nil && len(*op.Security) == 0
			if open != (path == "/signup") {
				t.Errorf("%s %s: needs no token", method, path)
			}
		}
	}
	slices.Sort(described)
	have := api.New(api.Deps{}).Endpoints()
	slices.Sort(have)
	if !slices.Equal(described, have) {
		t.Errorf("described are\n%s\nthere are\n%s", strings.Join(described, "\n"), strings.Join(have, "\n"))
	}
}
