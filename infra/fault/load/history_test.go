package load

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/phoenixchat/phoenixchat/infra/client"
	"github.com/phoenixchat/phoenixchat/infra/fault/record"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
)

// nowhere is a process that takes every line.
type nowhere struct{ io.Writer }

func (nowhere) Close() error { return nil }

// A device with the browser's engine records the pages of history that it reads, as all other devices do. A request
// that fails, or for something else, leaves no page.
func TestBrowserDevicesRecordPages(t *testing.T) {
	m := chat.Message{ID: "m", Conversation: "ann~bob", From: "bob", To: "ann", Body: "hello", At: 20}
	status := http.StatusOK
	api := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(status)
		if strings.HasSuffix(r.URL.Path, "/conversations") {
			fmt.Fprint(w, `{"conversations":[],"next":null}`)
			return
		}
		page := `{"messages":[{"id":"m","conversation":"ann~bob","from":"bob","to":"ann","body":"hello","at":20,` +
			`"accepted_at":21,"delivered_at":22}],"next":"20,m.bob"}`
		if pages := len(r.URL.Query()["page"]); pages > 0 || r.URL.Query().Has("saved") {
			page = `{"pages":[` + strings.TrimSuffix(strings.Repeat(page+",", pages), ",") + `],"saved":[]}`
		}
		fmt.Fprint(w, page)
	})
	log := record.New()
	crowd := New(unreachable{}, log, []string{"ann", "bob"}, Options{Seed: 1})
	defer crowd.Close()
	app := &browserApp{
		browsers: &Browsers{api: api, in: nowhere{io.Discard}}, ctx: t.Context(),
		opts: browserOptions{
			note:    func(n client.Note) { crowd.recordNote("ann.a", n) },
			request: func(url string) func([]byte) error { return crowd.recordRequest("ann.a", url) },
		},
	}
	ask := func(path string) []record.Entry {
		from := log.Mark()
		app.answer(fromNode{Ask: 1, What: "http", Method: http.MethodGet, URL: "https://chat.example/api/" + path})
		var entries []record.Entry
		for e := range log.After(from) {
			if e.Kind != record.Load {
				entries = append(entries, e)
			}
		}
		return entries
	}
	got := ask("messages?conversation=ann~bob&before=30%2Cn.bob&limit=50")
	if len(got) != 2 || got[0].Kind != record.Asked || got[1].Kind != record.Page {
		t.Fatalf("recorded %+v, want that it asked and got a page", got)
	}
	for _, e := range got {
		if e.Device != "ann.a" || e.Conversation != "ann~bob" || e.Name != "30,n.bob" ||
			e.Call != got[0].Call || e.Call == 0 {
			t.Errorf("recorded %+v", e)
		}
	}
	if page := got[1]; !page.More || len(page.Lines) != 1 || page.Lines[0] != record.LineOf(m, chat.Changes{}) {
		t.Errorf("the page is %+v, want one line: %+v", page, record.LineOf(m, chat.Changes{}))
	}
	if got := ask("conversations"); len(got) != 0 {
		t.Errorf("a request for the list is recorded as %+v", got)
	}
	got = ask("messages/batch?page=ann~bob&page=ann~cyd%2C30%2Cn.bob&limit=10")
	if len(got) != 4 || got[0].Conversation != "ann~bob" || got[0].Name != "" || got[1].Conversation != "ann~cyd" ||
		got[1].Name != "30,n.bob" || got[1].Call == got[0].Call || got[2].Kind != record.Page ||
		got[2].Call != got[0].Call || len(got[2].Lines) != 1 || !got[3].More || got[3].Call != got[1].Call {
		t.Errorf("two pages of one request are recorded as %+v", got)
	}
	if got := ask("messages/batch?saved=ann~bob%2Cm.bob"); len(got) != 0 {
		t.Errorf("a look-up of one message is recorded as %+v", got)
	}
	status = http.StatusTooManyRequests
	if got := ask("messages?conversation=ann~bob&limit=50"); len(got) != 1 || got[0].Kind != record.Asked {
		t.Errorf("a request that failed is recorded as %+v", got)
	}
}
