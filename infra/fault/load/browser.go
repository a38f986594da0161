package load

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/phoenixchat/phoenixchat/infra/client"
	"github.com/phoenixchat/phoenixchat/infra/internal/webbuild"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
)

// Browsers is a Node process that runs devices with the browser's own engine and store (web/fault). They are used and
// judged as all other devices are: the process connects through this one, so faults of the network hit its sockets too.
// It reports a committed transaction before it sends a frame because of it, so the order of the record is true.
type Browsers struct {
	api http.Handler // the HTTP functions
	log io.Writer    // what the apps report to developers

	cmd   *exec.Cmd
	in    io.WriteCloser
	ended chan struct{}

	writing sync.Mutex // one line at a time

	mu     sync.Mutex
	calls  map[int64]chan fromNode // guarded by mu
	apps   map[int]*browserApp     // running; guarded by mu
	lastID int                     // of a call, a store or an app; guarded by mu
	closed bool                    // guarded by mu
	err    error                   // guarded by mu
}

// toNode is a line to the process: a call, an answer to its question, or what happened on a socket. The type Incoming
// in web/fault/protocol.ts describes it.
type toNode struct {
	Call         int64       `json:"call,omitempty"`
	Do           string      `json:"do,omitempty"`
	App          int         `json:"app,omitempty"`
	Store        int         `json:"store,omitempty"`
	Copy         int         `json:"copy,omitempty"`
	UID          string      `json:"uid,omitempty"`
	Conversation string      `json:"conversation,omitempty"`
	To           string      `json:"to,omitempty"`
	Body         string      `json:"body,omitempty"`
	ReplyTo      string      `json:"reply_to,omitempty"`
	Key          string      `json:"key,omitempty"`
	Kind         string      `json:"kind,omitempty"`
	Content      string      `json:"content,omitempty"`
	At           chat.Micros `json:"at,omitempty"`
	Whole        bool        `json:"whole,omitempty"`
	Online       bool        `json:"online,omitempty"`
	SkewMS       int64       `json:"skew_ms,omitempty"`
	Seed         []uint32    `json:"seed,omitempty"`

	Answer     int64  `json:"answer,omitempty"`
	Status     int    `json:"status,omitempty"`
	Text       string `json:"text,omitempty"`
	RetryAfter string `json:"retry_after,omitempty"`
	EndsMS     int64  `json:"ends_ms,omitempty"`

	Socket int    `json:"socket,omitempty"`
	Event  string `json:"event,omitempty"`
	Code   int    `json:"code,omitempty"`
}

// fromNode is a line of the process: the result of a call, a note, a question, or an event of a socket. The type
// Outgoing in web/fault/protocol.ts describes it.
type fromNode struct {
	Call   int64           `json:"call"`
	Result json.RawMessage `json:"result"`
	Error  string          `json:"error"`
	App    int             `json:"app"`

	Note         string       `json:"note"`
	Message      chat.Message `json:"message"`
	Changes      chat.Changes `json:"changes"`
	Change       chat.Change  `json:"change"`
	State        string       `json:"state"`
	Refusal      string       `json:"refusal"`
	From         string       `json:"from"`
	Conversation string       `json:"conversation"`
	At           chat.Micros  `json:"at"`

	Ask     int64             `json:"ask"`
	What    string            `json:"what"`
	Method  string            `json:"method"`
	URL     string            `json:"url"`
	Headers map[string]string `json:"headers"`
	Body    string            `json:"body"`

	Socket int    `json:"socket"`
	Event  string `json:"event"`
	Text   string `json:"text"`
	Code   int    `json:"code"`

	Report string `json:"report"`
}

// BuildBrowsers builds the program of the process in dir, and returns its path. It needs Node.js and the client's
// packages, which it installs if they are missing.
func BuildBrowsers(ctx context.Context, dir string, say func(string)) (string, error) {
	_, file, _, _ := runtime.Caller(0)
	web := filepath.Join(filepath.Dir(file), "..", "..", "..", "web")
	if err := webbuild.Install(ctx, web, say); err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, "node", "fault/build.mjs", dir)
	cmd.Dir = web
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the devices with the browser's engine: %w\n%s", err, out)
	}
	return filepath.Join(dir, "browsers.mjs"), nil
}

// OpenBrowsers starts the process from a program that BuildBrowsers has built, and returns the function that ends it.
// Its devices call the HTTP functions through api. What they report to developers goes into the file log. Without a
// program it returns nil and a function that does nothing.
func OpenBrowsers(program string, api http.Handler, log string) (*Browsers, func(), error) {
	if program == "" {
		return nil, func() {}, nil
	}
	file, err := os.Create(log)
	if err != nil {
		return nil, nil, err
	}
	b, err := StartBrowsers(program, api, file)
	if err != nil {
		file.Close()
		return nil, nil, err
	}
	return b, func() { b.Close(); file.Close() }, nil
}

// StartBrowsers starts the process from a program that BuildBrowsers has built. Its devices call the HTTP functions
// through api. The writer gets what they report to developers. Close ends the process.
func StartBrowsers(program string, api http.Handler, log io.Writer) (*Browsers, error) {
	b := &Browsers{
		api: api, log: log, ended: make(chan struct{}), calls: map[int64]chan fromNode{}, apps: map[int]*browserApp{},
	}
	b.cmd = exec.Command("node", "--enable-source-maps", program)
	b.cmd.Stderr = log
	var err error
	if b.in, err = b.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := b.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := b.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the devices with the browser's engine: %w", err)
	}
	go b.read(out)
	return b, nil
}

// Close ends the process. Apps that still run end with it.
func (b *Browsers) Close() {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.in.Close()
	select {
	case <-b.ended:
	case <-time.After(5 * time.Second):
		_ = b.cmd.Process.Kill()
		<-b.ended
	}
}

// Err returns why the process ended before Close, or which call has failed unexpectedly. It returns nil if neither
// happened.
func (b *Browsers) Err() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err
}

func (b *Browsers) fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err == nil && !b.closed {
		b.err = fmt.Errorf("devices with the browser's engine: %w", err)
	}
}

// read handles the lines of the process until its end. It never writes to the process, which may be waiting for its own
// lines to be read.
func (b *Browsers) read(out io.Reader) {
	lines := bufio.NewReaderSize(out, 1<<16)
	for {
		text, err := lines.ReadBytes('\n')
		if err != nil {
			break
		}
		var line fromNode
		if err := json.Unmarshal(text, &line); err != nil {
			b.fail(fmt.Errorf("read %q: %w", bytes.TrimSpace(text), err))
			continue
		}
		b.handle(line)
	}
	err := b.cmd.Wait()
	b.fail(fmt.Errorf("the process has ended: %v", err))
	close(b.ended)
}

func (b *Browsers) handle(line fromNode) {
	b.mu.Lock()
	app, result := b.apps[line.App], b.calls[line.Call]
	delete(b.calls, line.Call)
	b.mu.Unlock()
	switch {
	case line.Call != 0:
		if result != nil {
			result <- line
		}
	case app == nil: // it was killed
	case line.Note != "":
		app.note(line)
	case line.Report != "":
		fmt.Fprintf(b.log, "%s app %d: %s\n", time.Now().Format(time.StampMicro), line.App, line.Report)
	case line.Ask != 0:
		go app.answer(line)
	case line.Socket != 0:
		app.socketEvent(line)
	}
}

// nextID returns a number that was not used before.
func (b *Browsers) nextID() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lastID++
	return b.lastID
}

// write writes a line. After the end of the process it does nothing.
func (b *Browsers) write(line toNode) {
	text, err := json.Marshal(line)
	if err != nil {
		panic(err) // a toNode has no value that JSON lacks
	}
	b.writing.Lock()
	defer b.writing.Unlock()
	_, _ = b.in.Write(append(text, '\n'))
}

// errEnded is the error of a call after the end of the process.
var errEnded = errors.New("the process has ended")

// call makes a call, waits for its end, and unmarshals its result unless result is nil. A call to an app that is killed
// meanwhile may have no end.
func (b *Browsers) call(ctx context.Context, line toNode, result any) error {
	line.Call = int64(b.nextID())
	done := make(chan fromNode, 1)
	b.mu.Lock()
	b.calls[line.Call] = done
	b.mu.Unlock()
	b.write(line)
	select {
	case answer := <-done:
		if answer.Error != "" {
			return errors.New(answer.Error)
		}
		if result == nil {
			return nil
		}
		return json.Unmarshal(answer.Result, result)
	case <-ctx.Done():
		return ctx.Err()
	case <-b.ended:
		return errEnded
	}
}

// answer answers a question of the app: a token, or a request to the HTTP functions.
func (a *browserApp) answer(q fromNode) {
	line := toNode{Answer: q.Ask}
	switch {
	case a.isOffline():
	case q.What == "token":
		if token, ends, err := a.opts.token(); err == nil {
			line.Text, line.EndsMS = token, ends.UnixMilli()
		}
	case q.What == "http":
		a.opts.note(client.Note{NoteKind: client.NoteLoad})
		answered := a.opts.request(q.URL)
		r := httptest.NewRequestWithContext(a.ctx, q.Method, q.URL, strings.NewReader(q.Body))
		for name, value := range q.Headers {
			r.Header.Set(name, value)
		}
		w := httptest.NewRecorder()
		a.browsers.api.ServeHTTP(w, r)
		line.Status, line.Text, line.RetryAfter = w.Code, w.Body.String(), w.Header().Get("Retry-After")
		if w.Code == http.StatusOK {
			if err := answered(w.Body.Bytes()); err != nil {
				a.browsers.fail(fmt.Errorf("read the answer to %s: %w", q.URL, err))
			}
		}
	}
	a.browsers.write(line)
}

// browserDevices returns how many of n devices have the browser's engine.
func (o Options) browserDevices(n int) int { return min(n, int(math.Ceil(o.Browser*float64(n)))) }
