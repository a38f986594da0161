package store_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/phoenixchat/phoenixchat/functions/store"
)

// TestFold folds the vectors that the client's tests use as well (web/src/text/folding.test.ts).
func TestFold(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("testdata", "folding.json"))
	if err != nil {
		t.Fatal(err)
	}
	var vectors [][2]string
	if err := json.Unmarshal(b, &vectors); err != nil || len(vectors) == 0 {
		t.Fatalf("%d vectors, %v", len(vectors), err)
	}
	for _, v := range vectors {
		got := store.Fold(v[0])
		if got != v[1] {
			t.Errorf("Fold(%q) = %q, want %q", v[0], got, v[1])
		}
		if again := store.Fold(got); again != got {
			t.Errorf("Fold(%q) = %q, which is not folded", got, again)
		}
	}
}

// TestTheClientHasTheSameFoldingTable compares the two copies of the table.
func TestTheClientHasTheSameFoldingTable(t *testing.T) {
	here, err := os.ReadFile("folding.json")
	if err != nil {
		t.Fatal(err)
	}
	client, err := os.ReadFile(filepath.Join("..", "..", "web", "src", "text", "folding.json"))
	if err != nil {
		t.Fatal(err)
	}
	if string(here) != string(client) {
		t.Error("folding.json differs from web/src/text/folding.json; copy one over the other")
	}
}

// TestPeopleAreFoundByThePlainSpelling searches for names by what people type.
func TestPeopleAreFoundByThePlainSpelling(t *testing.T) {
	for _, c := range []struct{ username, name, query string }{
		{"lk", "Łukasz Kowalski", "lukasz"}, {"lk", "Lukasz Kowalski", "Łukasz"},
		{"sk", "Søren Kierkegaard", "soren"}, {"sk", "Soren Kierkegaard", "SØREN"},
		{"ob", "Conan O’Brien", "o'brien"}, {"ob", "Conan O'Brien", "O’Brien"}, {"ob", "Conan O’Brien", "obrien"},
		{"ob", "Conan Obrien", "o'brien"}, {"ob", "Conan O’Brien", "brien"}, {"ob", "Conan O’Brien", "o"},
		{"js", "John Smith", "smith, john"}, {"js", "John Smith", "Smith,John"}, {"js", "John Smith", "(john)"},
		{"jl", "Jean–Luc Picard", "jean-luc"}, {"jl", "Jean-Luc Picard", "jean‑luc"}, {"jl", "Jean-Luc Picard", "luc"},
		{"gs", "Groß", "gross"}, {"gs", "GROSS", "groß"}, {"at", "Alan", "at"}, {"a.turing", "Alan", "a.t"},
		{"a.turing", "Alan", "turing"}, {"x", "İpek Işık", "isik"}, {"x", "Οδυσσεύς", "ΟΔΥΣΣΕΥΣ"}, {"x", "🔥 Fire", "🔥"},
		{"x", "हिन्दी नाम", "नाम"},
	} {
		u := store.User{Username: c.username, DisplayName: c.name}
		q := store.ParseQuery(c.query)
		if !q.Matches(u) {
			t.Errorf("%q does not find %q (@%s): query %q, words %q", c.query, c.name, c.username, q.Words,
				store.Words(c.username, c.name))
		}
		terms := store.Terms(c.username, c.name)
		for _, term := range q.Terms() {
			if !strings.Contains("\x00"+strings.Join(terms, "\x00")+"\x00", "\x00"+term+"\x00") {
				t.Errorf("%q: the index of %q lacks the term %q", c.query, c.name, term)
			}
		}
	}
	for _, query := range []string{",", "- -", "mara", "smythe"} {
		if store.ParseQuery(query).Matches(store.User{Username: "js", DisplayName: "John Smith"}) {
			t.Errorf("%q finds John Smith", query)
		}
	}
}
