package design

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/phoenixchat/phoenixchat/functions/store"
)

// TestRetention compares the table of how long data is kept with the collections, the limits of the code and the
// settings of Terraform. Every collection is named in it.
func TestRetention(t *testing.T) {
	rows := pageSection(t, 7).table(t, "data").rows
	named := map[string]bool{}
	for _, row := range rows {
		for _, name := range regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(row[0], -1) {
			named[name[1]] = true
		}
	}
	for collection := range documents(t) {
		if !named[collection] {
			t.Errorf("the table does not say how long %s is kept", collection)
		}
	}

	days := func(d time.Duration) string { return fmt.Sprintf("%d days", d/(24*time.Hour)) }
	seconds := func(file, expression string) time.Duration {
		t.Helper()
		found := regexp.MustCompile(expression + `\s*= "(\d+)s"`).FindStringSubmatch(readFile(t, "infra/terraform/"+file))
		if found == nil {
			t.Fatalf("%s has no %s", file, expression)
		}
		d, err := time.ParseDuration(found[1] + "s")
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	ofTopic := func(name string) time.Duration {
		t.Helper()
		return seconds("pubsub.tf", `"`+name+`"\n(?:[^}]*\n)??\s*message_retention_duration`)
	}
	for first, want := range map[string]string{
		"stubs in":        days(store.KeepStub),
		"`devices`":       days(store.KeepDevice) + " after",
		"`usernames`":     days(store.NameHold) + " after",
		"`reports`":       days(store.KeepReport),
		"`delivery-acks`": days(ofTopic("delivery-acks")),
		"`dead_letters`":  "Pub/Sub " + days(ofTopic("dead-letters")),
		"`notify`":        fmt.Sprintf("at most %d min", seconds("push.tf", "message_retention_duration")/time.Minute),
		"backups":         fmt.Sprintf("%d weeks", seconds("firestore.tf", "retention")/(7*24*time.Hour)),
	} {
		found := false
		for _, row := range rows {
			found = found || strings.Contains(row[0], first) && strings.Contains(row[1], want)
		}
		if !found {
			t.Errorf("no row of the table about %s says %q", first, want)
		}
	}
}
