package terraform

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
)

// declared is the format of the index file, which is that of the Firebase tools.
type declared struct {
	Indexes []struct {
		CollectionGroup string
		QueryScope      string
		Fields          []struct{ FieldPath, Order, ArrayConfig string }
	}
	FieldOverrides []struct {
		CollectionGroup, FieldPath string
		TTL                        bool
		Indexes                    []struct{ Order, ArrayConfig, QueryScope string }
	}
}

// TestIndexesAreThoseOfTheStore checks that Terraform creates the indexes that the store declares. In production, a
// query without its index fails. In the emulator it does not.
func TestIndexesAreThoseOfTheStore(t *testing.T) {
	s := applied(t)
	data, err := os.ReadFile("../../functions/store/storefirestore/firestore.indexes.json")
	if err != nil {
		t.Fatal(err)
	}
	var d declared
	if err := json.Unmarshal(data, &d); err != nil {
		t.Fatal(err)
	}

	var want, got []string
	for _, i := range d.Indexes {
		line := "index " + i.CollectionGroup + " " + i.QueryScope
		for _, f := range i.Fields {
			line += " " + f.FieldPath + ":" + f.Order + f.ArrayConfig
		}
		want = append(want, line)
	}
	for _, f := range d.FieldOverrides {
		line := "field " + f.CollectionGroup + "." + f.FieldPath
		var indexes []string
		for _, i := range f.Indexes {
			indexes = append(indexes, i.Order+i.ArrayConfig+":"+orDefault(i.QueryScope, "COLLECTION"))
		}
		slices.Sort(indexes)
		if f.TTL {
			indexes = append(indexes, "ttl")
		}
		want = append(want, line+" "+strings.Join(indexes, " "))
	}

	member := func(v any, name string) string { w, _ := at(v, name).(string); return w }
	for _, r := range s.of("google_firestore_index") {
		line := "index " + text(r, "collection") + " " + text(r, "query_scope")
		fields, _ := at(r.Values, "fields").([]any)
		for _, f := range fields {
			line += " " + member(f, "field_path") + ":" + member(f, "order") + member(f, "array_config")
		}
		got = append(got, line)
	}
	for _, r := range s.of("google_firestore_field") {
		line := "field " + text(r, "collection") + "." + text(r, "field")
		var indexes []string
		list, _ := at(r.Values, "index_config", 0, "indexes").([]any)
		for _, i := range list {
			indexes = append(indexes, member(i, "order")+member(i, "array_config")+":"+member(i, "query_scope"))
		}
		slices.Sort(indexes)
		if at(r.Values, "index_config", 0) == nil {
			t.Errorf("%s has no index_config, so it changes no index", r.Address)
		}
		if ttl, _ := at(r.Values, "ttl_config").([]any); len(ttl) > 0 {
			indexes = append(indexes, "ttl")
		}
		got = append(got, line+" "+strings.Join(indexes, " "))
	}

	slices.Sort(want)
	slices.Sort(got)
	if len(want) == 0 || !slices.Equal(want, got) {
		t.Errorf("declared:\n%s\ncreated:\n%s", strings.Join(want, "\n"), strings.Join(got, "\n"))
	}
}

func orDefault(s, def string) string {
	if s == "" {
		return def
	}
	return s
}
