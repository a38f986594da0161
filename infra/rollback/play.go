package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/phoenixchat/phoenixchat/infra/internal/child"
)

// person is a user with a browser, or with the Go client.
type person struct {
	Name     string `json:"name"`
	Username string `json:"username"`
	Email    string `json:"email"`
	Password string `json:"password"`

	front   *front
	profile string
}

const password = "warm embers at night"

func newPerson(name string) *person {
	return &person{Name: name, Username: name, Email: name + "@example.org", Password: password}
}

// play is one run through all steps.
type play struct {
	root, data, redis string
	versions          [2]*tree
	ann, ben          *person
	dora, eve         *person // use the Go client
	said              []string
	twinsSaid         []string
	signedIn          bool
}

// result is what worked in a step.
type result struct {
	step
	browser error
	twins   [2]error
}

func newPlay(root, data, redis string, versions [2]*tree) (*play, error) {
	p := &play{root: root, data: data, redis: redis, versions: versions,
		ann: newPerson("ann"), ben: newPerson("ben"), dora: newPerson("dora"), eve: newPerson("eve")}
	for _, who := range []*person{p.ann, p.ben} {
		f, err := newFront()
		if err != nil {
			p.close()
			return nil, err
		}
		who.front, who.profile = f, filepath.Join(data, "profile-"+who.Name)
	}
	return p, nil
}

func (p *play) close() {
	for _, who := range []*person{p.ann, p.ben} {
		if who.front != nil {
			who.front.close()
		}
	}
}

// all plays the steps. A step that fails does not end the run: the next one shows whether the versions recover.
func (p *play) all(ctx context.Context, out io.Writer) ([]result, error) {
	var results []result
	for i, s := range steps {
		fmt.Fprintf(out, "step %d of %d: %s\n", i+1, len(steps), s.what)
		r, err := p.step(ctx, i, s)
		if err != nil {
			return nil, err
		}
		results = append(results, *r)
	}
	return results, nil
}

func (p *play) step(ctx context.Context, i int, s step) (*result, error) {
	server, addr, err := p.start(ctx, p.versions[s.server])
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err != nil {
		err = fmt.Errorf("the server of the %s version does not start: %w", p.versions[s.server].name, err)
		return &result{s, err, [2]error{err, err}}, nil
	}
	defer server.Stop(10 * time.Second)
	if i == 0 {
		for _, who := range []*person{p.ann, p.ben, p.dora, p.eve} {
			if err := who.signUp(ctx, addr); err != nil {
				return nil, err
			}
		}
	}
	r := &result{step: s}
	p.ann.front.use(p.versions[s.ann].dist(), addr)
	p.ben.front.use(p.versions[s.ben].dist(), addr)
	r.browser = p.chat(ctx, fmt.Sprintf("step %d", i+1), p.versions[s.ann], p.versions[s.ben])
	for v, t := range p.versions {
		r.twins[v] = p.chatWithTwins(ctx, t, addr.String(), fmt.Sprintf("step %d, %s", i+1, t.name))
	}
	return r, context.Cause(ctx)
}

// start starts the server of a version, and returns its address.
func (p *play) start(ctx context.Context, t *tree) (*child.Child, *url.URL, error) {
	cmd := exec.Command(t.launcher(), "-json", "-port", "0", "-data", filepath.Join(p.data, "server"), "-redis", p.redis)
	cmd.Dir = t.dir
	read, write := io.Pipe()
	defer read.Close()
	cmd.Stdout = write
	c, err := child.Start("server", cmd)
	if err != nil {
		return nil, nil, err
	}
	lines := make(chan []byte, 1)
	go func() {
		line, _ := bufio.NewReader(read).ReadBytes('\n') // without a line, the program has ended
		lines <- line
	}()
	var addresses struct {
		URL string `json:"url"`
	}
	select {
	case line := <-lines:
		if err := json.Unmarshal(line, &addresses); err != nil {
			c.Stop(0)
			return nil, nil, fmt.Errorf("the launcher printed %q: %w", line, err)
		}
	case <-c.Done():
		return nil, nil, fmt.Errorf("%w; the end of its output:\n%s", c.Ended(), c.Ended().Output)
	case <-time.After(5 * time.Minute): // it may build the client once more
		c.Stop(0)
		return nil, nil, fmt.Errorf("it printed no address; the end of its output:\n%s", c.Ended().Output)
	case <-ctx.Done():
		c.Stop(0)
		return nil, nil, context.Cause(ctx)
	}
	u, err := url.Parse(addresses.URL)
	if err != nil {
		c.Stop(0)
		return nil, nil, err
	}
	return c, u, nil
}

func (who *person) signUp(ctx context.Context, server *url.URL) error {
	b, err := json.Marshal(map[string]string{"email": who.Email, "password": who.Password, "username": who.Username,
		"display_name": who.Name})
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, server.JoinPath("api/signup").String(), bytes.NewReader(b))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return fmt.Errorf("sign up %s: %w", who.Name, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("sign up %s: %s", who.Name, resp.Status)
	}
	return nil
}

// turn is the input of web/rollback/chat.turn.ts.
type turn struct {
	URL     string   `json:"url"`
	Profile string   `json:"profile"`
	Me      *person  `json:"me"`
	Other   *person  `json:"other"`
	SignIn  bool     `json:"signIn"`
	Says    string   `json:"says"`
	Hears   string   `json:"hears"`
	Begins  bool     `json:"begins"`
	Earlier []string `json:"earlier"`
}

// onScreen is how many messages of earlier steps are looked for. The page does not render those far above the newest.
const onScreen = 6

// chat has Ann and Ben write to each other in their browsers, with the clients of these versions.
func (p *play) chat(ctx context.Context, name string, annUses, benUses *tree) error {
	ann, ben := name+" from ann", name+" from ben"
	if !p.signedIn {
		for _, who := range []*person{p.ann, p.ben} { // of a first turn that failed
			if err := os.RemoveAll(who.profile); err != nil {
				return err
			}
		}
	}
	earlier := append([]string{}, p.said[max(0, len(p.said)-onScreen):]...)
	turns := []turn{
		{p.ann.front.url, p.ann.profile, p.ann, p.ben, !p.signedIn, ann, ben, true, earlier},
		{p.ben.front.url, p.ben.profile, p.ben, p.ann, !p.signedIn, ben, ann, false, earlier},
	}
	errs := make([]error, len(turns))
	var wg sync.WaitGroup
	for i, t := range []*tree{annUses, benUses} {
		wg.Go(func() {
			b, err := json.Marshal(turns[i])
			if err != nil {
				errs[i] = err
				return
			}
			env := []string{"PHOENIX_TURN=" + string(b), "NO_COLOR=1", "FORCE_COLOR=0"}
			errs[i] = t.command(ctx, env, filepath.Join(t.dir, "web"), "npx", "--no-install", "playwright", "test", "-c",
				"rollback")
		})
	}
	wg.Wait()
	for i, err := range errs {
		if err != nil {
			return fmt.Errorf("%s: %w", turns[i].Me.Name, err)
		}
	}
	p.signedIn = true
	p.said = append(p.said, ann, ben)
	return nil
}

// chatWithTwins has Dora and Eve write to each other with the Go client of a version.
func (p *play) chatWithTwins(ctx context.Context, t *tree, server, say string) error {
	if t.twin != nil {
		return fmt.Errorf("it cannot be built: %w", t.twin)
	}
	args := append([]string{"-url", server, "-from", p.dora.Email, "-to", p.eve.Email, "-password", password, "-say", say},
		p.twinsSaid...)
	if err := t.command(ctx, nil, t.dir, t.twinProgram(), args...); err != nil {
		return err
	}
	p.twinsSaid = append(p.twinsSaid, say)
	return nil
}
