package storefirestore

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/phoenixchat/phoenixchat/functions/store"
)

var update = flag.Bool("update", false, "write firestore.indexes.json anew from the queries")

const indexFile = "firestore.indexes.json"

// The types below have the form of the index file of Firebase's command line.
type (
	indexes struct {
		Indexes        []composite `json:"indexes"`
		FieldOverrides []override  `json:"fieldOverrides"`
	}
	composite struct {
		CollectionGroup string       `json:"collectionGroup"`
		QueryScope      string       `json:"queryScope"`
		Fields          []indexField `json:"fields"`
	}
	indexField struct {
		FieldPath   string `json:"fieldPath"`
		Order       string `json:"order,omitempty"`
		ArrayConfig string `json:"arrayConfig,omitempty"`
	}
	override struct {
		CollectionGroup string        `json:"collectionGroup"`
		FieldPath       string        `json:"fieldPath"`
		TTL             bool          `json:"ttl,omitempty"` // documents are deleted some time after the time in this field
		Indexes         []singleIndex `json:"indexes"`
	}
	singleIndex struct {
		Order       string `json:"order,omitempty"`
		ArrayConfig string `json:"arrayConfig,omitempty"`
		QueryScope  string `json:"queryScope"`
	}
)

// documents lists the document type of each collection.
var documents = map[string]any{
	colUsers: userDoc{}, colNames: store.Name{}, colSignups: signupDoc{}, colErased: erasedDoc{},
	colPictures: pictureDoc{}, colChoices: choicesDoc{}, colSubscriptions: subscriptionsDoc{}, colEndpoints: endpointDoc{},
	colReports: reportDoc{}, colConversations: conversationDoc{},
	colMessages: messageDoc{}, colAudit: auditDoc{}, colDeadLetters: deadLetterDoc{}, colLimits: limitDoc{},
}

// needs returns the index that a query needs: a composite one, or that of a single field. It follows the rules in
// https://firebase.google.com/docs/firestore/query-data/index-overview.
func (sh shape) needs() (fields []indexField) {
	var ranged []string
	for _, c := range sh.where {
		switch c.op {
		case "==":
			fields = append(fields, indexField{FieldPath: c.field, Order: "ASCENDING"})
		case "array-contains":
			fields = append(fields, indexField{FieldPath: c.field, ArrayConfig: "CONTAINS"})
		default:
			ranged = append(ranged, c.field)
		}
	}
	for _, o := range sh.order {
		name, desc := strings.CutPrefix(o, "-")
		order := "ASCENDING"
		if desc {
			order = "DESCENDING"
		}
		fields = append(fields, indexField{FieldPath: name, Order: order})
	}
	if len(sh.order) == 0 && len(ranged) > 0 {
		fields = append(fields, indexField{FieldPath: ranged[0], Order: "ASCENDING"})
	}
	return fields
}

// want returns the file that the queries need.
func want(t *testing.T) indexes {
	var w indexes
	single := map[string]map[string][]singleIndex{} // by collection and field: the indexes that queries need
	for _, sh := range shapes {
		fields := sh.needs()
		switch {
		case len(fields) == 0:
		case len(fields) == 1:
			scope := "COLLECTION"
			if sh.group {
				scope = "COLLECTION_GROUP"
			}
			m := single[sh.collection]
			if m == nil {
				m = map[string][]singleIndex{}
				single[sh.collection] = m
			}
			f := fields[0]
			m[f.FieldPath] = append(m[f.FieldPath], singleIndex{f.Order, f.ArrayConfig, scope})
		default:
			scope := "COLLECTION"
			if sh.group {
				scope = "COLLECTION_GROUP"
			}
			c := composite{sh.collection, scope, fields}
			if !slices.ContainsFunc(w.Indexes, func(o composite) bool { return reflect.DeepEqual(o, c) }) {
				w.Indexes = append(w.Indexes, c)
			}
		}
	}
	slices.SortFunc(w.Indexes, func(a, b composite) int {
		return strings.Compare(a.CollectionGroup+a.Fields[0].FieldPath, b.CollectionGroup+b.Fields[0].FieldPath)
	})
	// Firestore would index every field by default. Each field gets only the indexes that queries need.
	for collection, doc := range documents {
		d := reflect.TypeOf(doc)
		for i := range d.NumField() {
			name, _, _ := strings.Cut(d.Field(i).Tag.Get("firestore"), ",")
			if name == "" || name == "-" {
				t.Fatalf("%v.%s does not have a name", d, d.Field(i).Name)
			}
			list := single[collection][name]
			if list == nil {
				list = []singleIndex{}
			}
			slices.SortFunc(list, func(a, b singleIndex) int {
				return strings.Compare(a.Order+a.ArrayConfig+a.QueryScope, b.Order+b.ArrayConfig+b.QueryScope)
			})
			w.FieldOverrides = append(w.FieldOverrides, override{collection, name, name == "expires_at",
				slices.Compact(list)})
			delete(single[collection], name)
		}
		for name := range single[collection] {
			t.Errorf("a query of %s uses the field %s, which its documents do not have", collection, name)
		}
	}
	slices.SortFunc(w.FieldOverrides, func(a, b override) int {
		return strings.Compare(a.CollectionGroup+"/"+a.FieldPath, b.CollectionGroup+"/"+b.FieldPath)
	})
	return w
}

// The index file, which Terraform reads, has exactly the indexes that the queries need. (The emulator does not need
// any.)
func TestIndexFile(t *testing.T) {
	b, err := json.MarshalIndent(want(t), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	b = append(b, '\n')
	if *update {
		if err := os.WriteFile(indexFile, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(indexFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(have, b) {
		t.Errorf("%s differs from what the queries need; run the test with -update to write it:\n%s", indexFile, b)
	}
}

// needs gives the known indexes of some queries.
func TestNeeds(t *testing.T) {
	for _, tt := range []struct {
		sh   shape
		want int // fields of the index; 0: no index
	}{
		{shape{}, 0},
		{shape{where: []condition{{"a", "=="}}}, 1},
		{shape{where: []condition{{"a", ">"}, {"a", "<"}}, order: []string{"a"}}, 1},
		{shape{order: []string{"-a"}}, 1},
		{shape{where: []condition{{"a", "array-contains"}}, byID: true}, 1},
		{shape{where: []condition{{"a", "=="}, {"b", ">"}}}, 2},
		{shape{where: []condition{{"a", "=="}, {"b", "array-contains"}}, order: []string{"c"}}, 3},
	} {
		if got := tt.sh.needs(); len(got) != tt.want {
			t.Errorf("%+v needs %+v", tt.sh, got)
		}
	}
}

// Every query is built of a shape in queries.go.
func TestQueriesAreBuiltInOnePlace(t *testing.T) {
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".go") || strings.HasSuffix(f.Name(), "_test.go") || f.Name() == "queries.go" {
			continue
		}
		src, err := os.ReadFile(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		for _, word := range []string{".Where(", ".OrderBy", ".CollectionGroup(", ".Offset("} {
			if bytes.Contains(src, []byte(word)) {
				t.Errorf("%s builds a query: %s; declare its shape in queries.go", f.Name(), word)
			}
		}
	}
}
