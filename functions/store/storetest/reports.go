package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// report returns a report with a message of each of the two users.
func report(id, reporter, about string, at chat.Micros) store.Report {
	return store.Report{ID: id, Reporter: reporter, About: about, At: at, Reason: "spam", Comment: "by " + reporter,
		Messages: []store.MessageCopy{{From: about, ID: "m1", At: t0, Body: "theirs"},
			{From: reporter, ID: "m2", At: t0 + 1, Body: "mine"}},
		State: store.ReportOpen}
}

func addReport(t *testing.T, s store.Store, r store.Report) {
	t.Helper()
	added, err := s.AddReport(context.Background(), r)
	must(t, err)
	equal(t, "added "+r.ID, added, true)
}

// reported fails unless the filter selects these reports, whatever the size of the pages.
func reported(t *testing.T, s store.Store, f store.ReportFilter, want ...store.Report) {
	t.Helper()
	for _, limit := range []int{1, 2, 9} {
		got := everything(t, func(c string) ([]store.Report, string, error) {
			return s.Reports(context.Background(), f, c, limit)
		})
		equal(t, fmt.Sprintf("%+v in pages of %d", f, limit), got, want)
	}
}

func testReports(t *testing.T, s store.Store) {
	ctx := context.Background()
	for _, uid := range []string{"ada", "bob", "eve"} {
		addUser(t, s, uid, uid, t0)
	}
	first, second := report("r1", "ada", "eve", t0), report("r2", "bob", "eve", t0)
	third := report("r3", "ada", "bob", t0+1)
	for _, r := range []store.Report{first, second, third} {
		addReport(t, s, r)
	}
	// A repeated report changes nothing, at whatever time. Another one with the id is refused.
	again := first
	again.At += 5
	added, err := s.AddReport(ctx, again)
	must(t, err)
	equal(t, "added again", added, false)
	for _, change := range []func(*store.Report){
		func(r *store.Report) { r.Comment = "other" },
		func(r *store.Report) { r.Reason = "threat" },
		func(r *store.Report) { r.Reporter = "bob" },
		func(r *store.Report) { r.About = "bob" },
		func(r *store.Report) { r.Messages = slices.Clone(r.Messages[:1]) },
	} {
		other := first
		change(&other)
		_, err := s.AddReport(ctx, other)
		mustBe(t, err, store.ErrReportReused)
	}
	_, err = s.AddReport(ctx, report("r4", "ada", "nobody", t0))
	mustBe(t, err, problem.ErrNotFound)

	open := store.ReportFilter{State: store.ReportOpen}
	reported(t, s, open, third, second, first)
	reported(t, s, store.ReportFilter{About: "eve"}, second, first)
	reported(t, s, store.ReportFilter{Reporter: "ada"}, third, first)
	reported(t, s, store.ReportFilter{Reporter: "eve"})
	got, err := s.Report(ctx, "r2")
	must(t, err)
	equal(t, "one report", got, second)
	for _, id := range []string{"r9", "a/b", ""} {
		_, err = s.Report(ctx, id)
		mustBe(t, err, problem.ErrNotFound)
		_, err = s.ActOnReport(ctx, id, store.ReportActed, store.ReportAction{})
		mustBe(t, err, problem.ErrNotFound)
	}

	dismiss := store.ReportAction{At: t0 + 2, ByName: "root", Action: "dismiss"}
	limit := store.ReportAction{At: t0 + 3, ByName: "root", Action: "limit", Days: 7}
	second.State, second.Actions = store.ReportDismissed, []store.ReportAction{dismiss}
	got, err = s.ActOnReport(ctx, "r2", store.ReportDismissed, dismiss)
	must(t, err)
	equal(t, "the dismissed report", got, second)
	reported(t, s, open, third, first)
	reported(t, s, store.ReportFilter{State: store.ReportDismissed}, second)
	second.State, second.Actions = store.ReportActed, []store.ReportAction{dismiss, limit}
	_, err = s.ActOnReport(ctx, "r2", store.ReportActed, limit)
	must(t, err)
	reported(t, s, store.ReportFilter{State: store.ReportDismissed})
	reported(t, s, store.ReportFilter{State: store.ReportActed}, second)
	_, err = s.ActOnReport(ctx, "r2", store.ReportDismissed, dismiss)
	mustBe(t, err, store.ErrReportClosed)
	reported(t, s, store.ReportFilter{About: "eve"}, second, first)
	for range store.MaxReportActions + 1 {
		got, err = s.ActOnReport(ctx, "r3", store.ReportActed, limit)
		must(t, err)
	}
	equal(t, "the actions that are kept", len(got.Actions), store.MaxReportActions)
}

// Of reports with one id at the same time, one is kept.
func testReportsAtOnce(t *testing.T, s store.Store) {
	ctx := context.Background()
	people := []string{"ada", "bob", "cyd"}
	addUser(t, s, "eve", "eve", t0)
	for _, uid := range people {
		addUser(t, s, uid, uid, t0)
	}
	added, errs := make([]bool, len(people)), make([]error, len(people))
	var wg sync.WaitGroup
	for i, uid := range people {
		wg.Go(func() { added[i], errs[i] = s.AddReport(ctx, report("r1", uid, "eve", t0)) })
	}
	wg.Wait()
	n := 0
	for i := range people {
		if added[i] {
			n++
		} else if !errors.Is(errs[i], store.ErrReportReused) {
			t.Errorf("error %v, want %v", errs[i], store.ErrReportReused)
		}
	}
	equal(t, "the number that were added", n, 1)
	list, _, err := s.Reports(ctx, store.ReportFilter{About: "eve"}, "", 9)
	must(t, err)
	equal(t, "the number that is kept", len(list), 1)
}

// A report stays without its reporter, and does not outlive the person whom it is about.
func testReportsErased(t *testing.T, s store.Store) {
	ctx := context.Background()
	for _, uid := range []string{"ada", "bob", "eve"} {
		addUser(t, s, uid, uid, t0)
	}
	kept, lost, other := report("r1", "ada", "eve", t0), report("r2", "eve", "ada", t0), report("r3", "bob", "eve", t0)
	for _, r := range []store.Report{kept, lost, other} {
		addReport(t, s, r)
	}
	_, err := s.BeginErase(ctx, "ada", t0+1)
	must(t, err)
	for _, r := range []store.Report{report("r4", "ada", "eve", t0+1), report("r5", "eve", "ada", t0+1)} {
		_, err = s.AddReport(ctx, r)
		mustBe(t, err, problem.ErrNotFound)
	}
	kept.Reporter, kept.Comment, kept.Messages = "", "", kept.Messages[:1]
	for range 2 {
		must(t, s.EraseContent(ctx, "ada"))
		reported(t, s, store.ReportFilter{State: store.ReportOpen}, other, kept)
		reported(t, s, store.ReportFilter{About: "eve"}, other, kept)
		reported(t, s, store.ReportFilter{Reporter: "ada"})
		reported(t, s, store.ReportFilter{Reporter: "eve"})
	}
	must(t, s.EraseContent(ctx, "eve"))
	reported(t, s, store.ReportFilter{State: store.ReportOpen})
	reported(t, s, store.ReportFilter{Reporter: "bob"})
}

func testSanctions(t *testing.T, s store.Store) {
	ctx := context.Background()
	addUser(t, s, "eve", "eve", t0)
	u, err := s.LimitContacts(ctx, "eve", t0+day)
	must(t, err)
	equal(t, "limited until", u.LimitedUntil, t0+day)
	_, err = s.Warn(ctx, "eve", store.Warning{At: t0, Reason: "spam"})
	must(t, err)
	second := store.Warning{At: t0 + 1, Reason: "threat"}
	_, err = s.Warn(ctx, "eve", second)
	must(t, err)
	// Confirming an earlier warning does not remove the one that has replaced it.
	_, err = s.ConfirmWarning(ctx, "eve", t0)
	must(t, err)
	u, err = s.User(ctx, "eve")
	must(t, err)
	equal(t, "the warning", u.Warning, &second)
	equal(t, "limited until", u.LimitedUntil, t0+day)
	for range 2 {
		_, err = s.ConfirmWarning(ctx, "eve", t0+1)
		must(t, err)
	}
	_, err = s.LimitContacts(ctx, "eve", 0)
	must(t, err)
	u, err = s.User(ctx, "eve")
	must(t, err)
	equal(t, "the warning", u.Warning, nil)
	equal(t, "limited until", u.LimitedUntil, 0)
	_, err = s.Warn(ctx, "nobody", second)
	mustBe(t, err, problem.ErrNotFound)
}
