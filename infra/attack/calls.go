package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/phoenixchat/phoenixchat/functions/api"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// callFlood makes n calls, eight at a time, and returns how many were answered with success. The others must be
// answered 429.
func (p *person) callFlood(ctx context.Context, n int, method string, path func(i int) string,
	body func(i int) any) (answered int, err error) {
	var mu sync.Mutex
	var all sync.WaitGroup
	next := make(chan int)
	for range 8 {
		all.Go(func() {
			for i := range next {
				var b any
				if body != nil {
					b = body(i)
				}
				a, e := p.call(ctx, method, path(i), b)
				mu.Lock()
				switch {
				case e != nil:
					err = e
				case a.status/100 == 2:
					answered++
				case a.status != http.StatusTooManyRequests:
					err = fmt.Errorf("%s %s: %d %s", method, path(i), a.status, a.body)
				case a.header.Get("Retry-After") == "":
					err = fmt.Errorf("%s %s: 429 without Retry-After", method, path(i))
				}
				mu.Unlock()
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	all.Wait()
	return answered, err
}

// floodOf floods a route of GET as one person. Of n calls, limit may be answered.
func floodOf(ctx context.Context, w *world, path string, n, limit int) (result, error) {
	me, err := w.person(ctx)
	if err != nil {
		return result{}, err
	}
	answered, err := me.callFlood(ctx, n, http.MethodGet, func(int) string { return path }, nil)
	return result{tried: n, through: beyond(answered, limit), note: fmt.Sprintf("%d answers", answered)}, err
}

// mostCalls returns how many calls the budget of reading admits on one instance, if each reads a number of documents.
// It includes the free allowance of the instance.
func mostCalls(segment string, documents int) int {
	units := 0
	for _, b := range api.Budgets() {
		if b.Name == "read" && b.Segment == segment {
			units = int(b.Shared + b.Free)
		}
	}
	return units / (api.CallUnits + documents)
}

// listFlood reads a whole page of the directory with each call.
func listFlood(ctx context.Context, w *world) (result, error) {
	return floodOf(ctx, w, "/users?limit=200", w.size(1500, 250), mostCalls("users", 200)+1)
}

// searchFlood searches for what nobody is called. A call reads at least the caller.
func searchFlood(ctx context.Context, w *world) (result, error) {
	return floodOf(ctx, w, "/users?limit=200&q=person+zq", w.size(3000, 1300), mostCalls("users", 1))
}

func conversationsFlood(ctx context.Context, w *world) (result, error) {
	return floodOf(ctx, w, "/conversations?limit=200", w.size(3000, 1300), mostCalls("conversations", 1))
}

func exportFlood(ctx context.Context, w *world) (result, error) {
	return floodOf(ctx, w, "/me/export", w.size(200, 20), 3)
}

func profileFlood(ctx context.Context, w *world) (result, error) {
	me, err := w.accountHolder(ctx)
	if err != nil {
		return result{}, err
	}
	n := w.size(300, 60)
	answered, err := me.callFlood(ctx, n, http.MethodPatch, func(int) string { return "/me" }, func(i int) any {
		return map[string]string{"display_name": fmt.Sprint("Name ", i)}
	})
	return result{tried: n, through: beyond(answered, 20), note: fmt.Sprintf("%d changes", answered)}, err
}

// blocked uses every frame and route between two people of whom one has blocked the other, in both directions.
func blocked(ctx context.Context, w *world) (result, error) {
	people, err := w.persons(ctx, 2)
	if err != nil {
		return result{}, err
	}
	blocker, other := people[0], people[1]
	if err := blocker.befriend(ctx, other); err != nil {
		return result{}, err
	}
	if a, err := blocker.call(ctx, http.MethodPut, "/me/blocked/"+other.uid, nil); err != nil || a.status/100 != 2 {
		return result{}, fmt.Errorf("block: %d %s %w", a.status, a.body, err)
	}
	r := result{}
	conversation := chat.ConversationID(blocker.uid, other.uid)
	type direction struct {
		name     string
		from, to *person
		socket   *socket // of from
		reads    int     // events that the socket had got before
	}
	both := []*direction{{name: "blocked person", from: other, to: blocker}, {name: "blocker", from: blocker, to: other}}
	for _, d := range both {
		if d.socket, err = d.from.openWith(ctx, true); err != nil {
			return r, err
		}
		defer d.socket.end()
		d.reads = d.socket.count("event " + wire.EventRead)
	}
	for _, d := range both {
		answer := d.socket.answerTo(ctx, d.socket.send(d.to.uid, "can you hear me?"))
		r.attempt(d.name+": send answered "+answer, answer != "recipient_unavailable")
		d.socket.frame(wire.ClientFrame{Type: wire.TypeTyping, To: d.to.uid})
		d.socket.frame(wire.ClientFrame{Type: wire.TypeRead, Conversation: conversation, At: chat.MicrosOf(time.Now())})
		d.socket.frame(wire.ClientFrame{Type: wire.TypeWatch, Users: []string{d.to.uid}})
	}
	time.Sleep(3 * time.Second) // marks are published after 2 s, the others at once
	for i, d := range both {
		to := both[1-i].socket
		r.attempt(d.name+": typing", to.count(wire.TypeTyping) > 0)
		r.attempt(d.name+": read", to.count("event "+wire.EventRead) > both[1-i].reads)
		r.attempt(d.name+": presence", d.socket.knows(d.to.uid))
		list, err := d.from.call(ctx, http.MethodGet, "/users?q=Person", nil)
		if err != nil {
			return r, err
		}
		r.attempt(d.name+": directory", strings.Contains(string(list.body), d.to.uid))
	}
	return r, nil
}

// presenceScrape watches as many strangers as possible.
func presenceScrape(ctx context.Context, w *world) (result, error) {
	const watched = 300 // an hour, on one instance
	me, err := w.person(ctx)
	if err != nil {
		return result{}, err
	}
	strangers, err := w.persons(ctx, w.size(2000, 600))
	if err != nil {
		return result{}, err
	}
	told := map[string]bool{}
	for range w.size(6, 2) { // a new socket must not start with a new budget
		s, err := me.open(ctx)
		if err != nil {
			break
		}
		for i := 0; i < len(strangers); i += wire.MaxWatch {
			list := strangers[i:min(i+wire.MaxWatch, len(strangers))]
			s.frame(wire.ClientFrame{Type: wire.TypeWatch, Users: uidsOf(list)})
			time.Sleep(150 * time.Millisecond)
		}
		time.Sleep(500 * time.Millisecond)
		for _, uid := range s.presences() {
			told[uid] = true
		}
		s.end()
	}
	note := fmt.Sprintf("presence of %d people", len(told))
	return result{tried: len(strangers), through: beyond(len(told), watched), note: note}, nil
}

// directoryScrape lists the directory page by page.
func directoryScrape(ctx context.Context, w *world) (result, error) {
	const listed = 1000
	me, err := w.person(ctx)
	if err != nil {
		return result{}, err
	}
	if n := w.size(3000, 1400) - int(w.people.Load()); n > 0 {
		if _, err := w.persons(ctx, n); err != nil {
			return result{}, err
		}
	}
	seen := map[string]bool{}
	r := result{}
	for cursor, first := "", true; first || cursor != ""; first = false {
		a, err := me.call(ctx, http.MethodGet, "/users?limit=200&cursor="+url.QueryEscape(cursor), nil)
		if err != nil {
			return r, err
		}
		r.tried++
		if a.status == http.StatusTooManyRequests {
			break
		}
		var page struct {
			Users []struct {
				UID string `json:"uid"`
			} `json:"users"`
			Next string `json:"next"`
		}
		if err := json.Unmarshal(a.body, &page); err != nil || a.status != http.StatusOK {
			return r, fmt.Errorf("the directory was answered %d %s", a.status, a.body)
		}
		for _, u := range page.Users {
			seen[u.UID] = true
		}
		cursor = page.Next
	}
	r.through, r.note = beyond(len(seen), listed), fmt.Sprintf("%d people", len(seen))
	return r, nil
}

// renames takes as many usernames as possible, each of which is held afterwards.
func renames(ctx context.Context, w *world) (result, error) {
	me, err := w.accountHolder(ctx)
	if err != nil {
		return result{}, err
	}
	r, taken := result{}, 0
	for i := range w.size(40, 12) {
		a, err := me.call(ctx, http.MethodPatch, "/me", map[string]string{"username": fmt.Sprintf("%s-%d", me.username, i)})
		if err != nil {
			return r, err
		}
		r.tried++
		if a.status == http.StatusOK {
			taken++
		}
	}
	r.through, r.note = beyond(taken, 2), fmt.Sprintf("%d usernames", taken)
	return r, nil
}

// imitations signs up, and changes names, to look like an admin or like nobody.
func imitations(ctx context.Context, w *world) (result, error) {
	usernames := []string{"adm1n", "admin1", "the.admin", "support1", "supp0rt", "help-desk", "m0derator", "rnoderator",
		"staff1", "phoenix.support", "n0reply", "phoenixchat"}
	displayNames := []string{"Admin", "ADMIN", "Аdmin", "System", "Phoenix Chat Support", "Supp\u200dort", "\u034f",
		"\ufe0f\ufe0f", "A d m i n", "Administrator"}
	honest := []map[string]string{
		{"username": "badminton"}, {"display_name": "Badminton Club"}, {"display_name": "Ann 🔥"}}
	me, err := w.accountHolder(ctx)
	if err != nil {
		return result{}, err
	}
	r := result{}
	try := func(field, name string) error {
		// Names of different people, because each person has a budget.
		p, err := w.accountHolder(ctx)
		if err != nil {
			return err
		}
		a, err := p.call(ctx, http.MethodPatch, "/me", map[string]string{field: name})
		if err != nil {
			return err
		}
		r.attempt(fmt.Sprintf("%+q", name), a.status == http.StatusOK)
		return nil
	}
	for _, name := range usernames {
		if err := try("username", name); err != nil {
			return r, err
		}
	}
	for _, name := range displayNames {
		if err := try("display_name", name); err != nil {
			return r, err
		}
	}
	for _, form := range honest {
		if a, err := me.call(ctx, http.MethodPatch, "/me", form); err != nil || a.status != http.StatusOK {
			return r, fmt.Errorf("the honest name %v was refused: %d %s %w", form, a.status, a.body, err)
		}
	}
	return r, nil
}
