package password

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

func TestCheck(t *testing.T) {
	names := []string{"mira.kern", "Łukasz Kérn", "m.k-private@example.org"}
	for _, tt := range []struct {
		password string
		want     Fault
	}{
		{"", Short}, {"1234567", Short}, {"👩🏽‍🔬", Short}, {strings.Repeat("e\u0301", 7), Short},
		{strings.Repeat("x1", 100), None}, {strings.Repeat("x1", 100) + "x", Long},
		{"        ", Repeated}, {"\u2003 \u2003 \u2003 \u2003 ", Repeated}, {"aaaaAAAA", Repeated}, {"éééééééé", Repeated},
		{"password", Common}, {"PassWord123", Common}, {"12345678", Common}, {"passwort1", Common}, {"trustno1", Common},
		{"PhoenixChat", Common}, {"phoenix chat", Common}, {"Phoenix123", Common}, {"ChatAdmin", Common},
		{"superuser", Common},
		{"password ", None}, // another password, as it is typed
		{"mira.kern", OwnName}, {"Mira.Kern", OwnName}, {"mirakern", OwnName}, {"--Mira_Kern--", OwnName},
		{"Łukasz Kérn", OwnName}, {"Łukasz Ke\u0301rn", OwnName}, {"lukaszkern", OwnName}, {"LUKASZ KERN!", OwnName},
		{"m.k-private@example.org", OwnName}, {"M.K-Private", OwnName}, {"mkprivate", OwnName},
		{"mira.kern7", None}, {"correct horse", None}, {"!?!?!?!?", None}, {"жанна и кот", None},
	} {
		if got := Check(tt.password, names...); got != tt.want {
			t.Errorf("Check(%q) = %q, want %q", tt.password, got, tt.want)
		}
	}
	if got := Check("!?!?!?!?", "!!!!!"); got != None {
		t.Errorf("a name without letters refuses another password: %q", got)
	}
	if got := Check("木村木村木村木村", "木村木村 木村木村"); got != OwnName {
		t.Errorf("a name in another script: %q", got)
	}
	if got := Check("correct horse", ""); got != None {
		t.Errorf("a name that is empty: %q", got)
	}
}

// TestList shows that the list has the 10,000 most common passwords that are long enough, in the form that is compared.
func TestList(t *testing.T) {
	_, list, ok := strings.Cut(common, "SOFTWARE.\n\n")
	lines := strings.Split(strings.TrimSuffix(list, "\n"), "\n")
	if !ok || len(lines) < 10_000 || !slices.IsSorted(lines) || len(slices.Compact(lines)) != len(commonSet()) {
		t.Fatalf("the list has %d lines, %d different", len(lines), len(commonSet()))
	}
	for _, line := range lines {
		if utf8.RuneCountInString(line) < Min || line != strings.ToLower(norm.NFC.String(line)) {
			t.Errorf("%q can never match", line)
		}
	}
}
