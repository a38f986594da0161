package storebolt_test

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/functions/store/storebolt"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
)

// New reports delete those that are older than a year.
func TestReportsExpire(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "chat.db"), storebolt.Options{NoSync: true})
	now := chat.MicrosOf(time.Now())
	year := chat.Micros(store.KeepReport.Microseconds())
	for _, uid := range []string{"ada", "eve"} {
		lease, err := s.Reserve(t.Context(), uid+"@example.org", uid, uid, "a", now, time.Minute)
		if err == nil {
			err = s.Commit(t.Context(), lease, store.User{UID: uid, Username: uid, Email: uid + "@example.org"})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for i, at := range []chat.Micros{now, now + 1, now + year - 1, now + year} {
		r := store.Report{ID: fmt.Sprint(i), Reporter: "ada", About: "eve", At: at, Reason: "spam", State: store.ReportOpen}
		if _, err := s.AddReport(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	list, _, err := s.Reports(t.Context(), store.ReportFilter{About: "eve"}, "", 10)
	if err != nil || len(list) != 3 || list[2].ID != "1" {
		t.Errorf("reports %+v, %v; want all but the first", list, err)
	}
}
