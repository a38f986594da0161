package design

import (
	"maps"
	"regexp"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
)

// answers are the words with which the last column of the table of limits begins.
var answers = regexp.MustCompile(`^(retryable|final|processed|dropped|none)\b`)

// TestLimitsAndCosts checks that the table of limits and costs has each client frame and each route exactly once, that
// its answers have codes that exist, and that its costs name scripts that exist.
func TestLimitsAndCosts(t *testing.T) {
	codes := problemsBelow(t, "realtime")
	maps.Copy(codes, problemsBelow(t, "functions"))
	scripts := map[string]bool{}
	for _, f := range luaFiles(t) {
		scripts[f.name] = true
	}
	page := map[string]bool{}
	for _, row := range pageSection(t, 11).table(t, "frame or route").rows {
		if len(row) != 4 {
			t.Errorf("the row %q has %d cells, want 4", row, len(row))
			continue
		}
		names := words(row[0])
		if len(names) == 0 {
			t.Errorf("the row %q names no frame and no route", row)
		}
		for _, name := range names {
			if page[name] {
				t.Errorf("%s has two rows", name)
			}
			page[name] = true
		}
		if row[1] == "" || row[2] == "" {
			t.Errorf("%v: the limit or the cost is missing", names)
		}
		for _, script := range words(row[2]) {
			if !scripts[script] {
				t.Errorf("%v: the cost names %q, which is not a script", names, script)
			}
		}
		if !answers.MatchString(row[3]) {
			t.Errorf("%v: the answer %q does not say whether it is retryable or final", names, row[3])
		}
		for _, c := range words(row[3]) {
			if _, ok := codes[c]; !ok {
				t.Errorf("%v: the answer has the code %q, which the code does not have", names, c)
			}
		}
	}
	have := framesAndRoutes(t)
	same(t, "frames and routes with limits and costs", page, have)
}

// framesAndRoutes returns the frames of clients and all routes, as the other tables of the page name them. TestFrames,
// TestFunctionRoutes and TestRealtimeRoutes compare those with the code.
func framesAndRoutes(t *testing.T) map[string]bool {
	t.Helper()
	have := map[string]bool{}
	for frame := range pageSection(t, 4).tables("frame")[0].byFirst(t) {
		have[frame] = true
	}
	doc, err := openapi3.NewLoader().LoadFromFile(inRepo(t, "functions/openapi.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for path, item := range doc.Paths.Map() {
		for verb := range item.Operations() {
			have[strings.ToUpper(verb)+" "+path] = true
		}
	}
	for route := range realtimeRoutes(t) {
		have[route] = true
	}
	return have
}
