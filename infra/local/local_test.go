//go:build unix

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestMain runs the launcher if a test started this process as one. The tests run it in a repository that contains
// only a web folder, with a script in place of npm.
func TestMain(m *testing.M) {
	if os.Getenv("LOCAL_TEST_LAUNCHER") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// repository is a repository to run the launcher in.
type repository struct {
	t   *testing.T
	dir string
	bin string // the only folder in PATH
	env []string
}

func newRepository(t *testing.T) *repository {
	t.Helper()
	r := &repository{t: t, dir: t.TempDir(), bin: t.TempDir()}
	r.write("go.mod", "module github.com/phoenixchat/phoenixchat\n")
	r.write("web/package-lock.json", `{"packages": {}}`)
	r.write("web/index.html", "<!doctype html><title>Phoenix Chat</title>")
	r.program("node", "echo v22.0.0")
	r.program("npm", `case "$1" in
ci) mkdir -p node_modules; echo '{"packages": {}}' > node_modules/.package-lock.json;;
run) mkdir -p dist; cp index.html dist;;
esac`)
	return r
}

func (r *repository) write(name, text string) {
	r.t.Helper()
	path := filepath.Join(r.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		r.t.Fatal(err)
	}
}

func (r *repository) program(name, script string) {
	r.t.Helper()
	text := "#!/bin/sh\nPATH=/usr/bin:/bin\n" + script + "\n"
	if err := os.WriteFile(filepath.Join(r.bin, name), []byte(text), 0o755); err != nil {
		r.t.Fatal(err)
	}
}

// launch returns a command that runs the launcher with the flags.
func (r *repository) launch(flags ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], flags...)
	cmd.Dir = r.dir
	cmd.Env = append([]string{"LOCAL_TEST_LAUNCHER=1", "PATH=" + r.bin, "HOME=" + r.dir}, r.env...)
	return cmd
}

// runFailing runs a launcher that must print one line and end with exit code 1. It returns the line.
func (r *repository) runFailing(flags ...string) string {
	r.t.Helper()
	var out bytes.Buffer
	cmd := r.launch(flags...)
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 {
		r.t.Errorf("%v: %v, want exit code 1\n%s", flags, err, out.String())
	}
	text := strings.TrimSpace(out.String())
	if strings.Contains(text, "\n") {
		r.t.Errorf("%v: more than one line:\n%s", flags, text)
	}
	return text
}

// running is a launcher that has printed its addresses.
type running struct {
	addresses
	cmd    *exec.Cmd
	stderr *output
}

// output collects the output of a running launcher.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (s *output) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.Write(p)
}

func (s *output) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.String()
}

func (r *repository) start(flags ...string) *running {
	r.t.Helper()
	run := &running{cmd: r.launch(append([]string{"-json", "-port", "0"}, flags...)...), stderr: &output{}}
	run.cmd.Stderr = run.stderr
	out, err := run.cmd.StdoutPipe()
	if err != nil {
		r.t.Fatal(err)
	}
	if err := run.cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = run.cmd.Process.Kill() }) // an error means that it has ended
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		_ = run.cmd.Wait()
		r.t.Fatalf("no addresses: %v\n%s", err, run.stderr)
	}
	if err := json.Unmarshal([]byte(line), &run.addresses); err != nil {
		r.t.Fatal(err)
	}
	return run
}

// interrupt sends the signal of Ctrl-C, checks that the launcher ends within 5 s, and returns how it ended.
func (r *running) interrupt(t *testing.T) error {
	t.Helper()
	began := time.Now()
	if err := r.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	err := r.cmd.Wait()
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("ending took %v, want at most 5 s", took)
	}
	return err
}

func TestFromStartToCtrlC(t *testing.T) {
	r := newRepository(t)
	run := r.start()
	resp, err := http.Get(run.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, err := io.ReadAll(resp.Body); err != nil || !strings.Contains(string(b), "<title>Phoenix Chat") {
		t.Errorf("page %q, %v", b, err)
	}
	if !strings.Contains(run.stderr.String(), "npm ci") || !strings.Contains(run.stderr.String(), "npm run build") {
		t.Errorf("printed %q", run.stderr)
	}
	if err := run.interrupt(t); err != nil {
		t.Errorf("ended with %v\n%s", err, run.stderr)
	}
	again := r.start()
	if got := again.stderr.String(); strings.Contains(got, "npm") {
		t.Errorf("the second start builds again: %q", got)
	}
	if err := again.interrupt(t); err != nil {
		t.Error(err)
	}
}

// A newcomer has no mailbox for the address that they made up, so the client opens the links of the mails itself.
func TestTheClientCanOpenMails(t *testing.T) {
	r := newRepository(t)
	run := r.start()
	var config struct {
		LocalMails string `json:"local_mails"`
	}
	getJSON(t, run.URL+"/config.json", &config)
	if config.LocalMails == "" {
		t.Fatal("config.json names no mails")
	}
	body := `{"email": "ann@example.org", "password": "warm embers at night", "username": "ann", "display_name": "Ann"}`
	post(t, run.URL+"/api/signup", body, http.StatusCreated)
	post(t, "http://"+run.Auth+"/identitytoolkit.googleapis.com/v1/accounts:sendOobCode?key=local",
		`{"requestType": "PASSWORD_RESET", "email": "ann@example.org"}`, http.StatusOK)
	var mails struct {
		OobCodes []struct{ Email, OobLink string }
	}
	getJSON(t, run.URL+config.LocalMails, &mails)
	if len(mails.OobCodes) != 1 || mails.OobCodes[0].Email != "ann@example.org" ||
		!strings.HasPrefix(mails.OobCodes[0].OobLink, run.URL+"/mail?") {
		t.Errorf("the mails are %+v", mails.OobCodes)
	}
	// Pages of other sites must not read the links.
	req, err := http.NewRequest(http.MethodGet, run.URL+config.LocalMails, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Origin", "https://elsewhere.example")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if got := resp.Header.Get("Access-Control-Allow-Origin"); got != "" {
		t.Errorf("another site may read the mails: %q", got)
	}
	if err := run.interrupt(t); err != nil {
		t.Error(err)
	}
}

// getJSON decodes the answer to a GET request into v.
func getJSON(t *testing.T, url string, v any) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("GET %s is answered %d", url, resp.StatusCode)
	}
	if err := json.NewDecoder(resp.Body).Decode(v); err != nil {
		t.Fatal(err)
	}
}

// postJSON decodes the answer to a POST request that succeeds into v.
func postJSON(t *testing.T, url, body string, v any) {
	t.Helper()
	resp, err := http.Post(url, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		t.Fatalf("POST %s is answered %d", url, resp.StatusCode)
	}
	if err := json.NewDecoder(resp.Body).Decode(v); err != nil {
		t.Fatal(err)
	}
}

func post(t *testing.T, url, body string, want int) {
	t.Helper()
	resp, err := http.Post(url, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != want {
		t.Fatalf("POST %s is answered %d, want %d", url, resp.StatusCode, want)
	}
}

func TestAPortThatIsInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	got := newRepository(t).runFailing("-port", port)
	if !strings.HasPrefix(got, "Port "+port+" is used by another program.") {
		t.Errorf("printed %q", got)
	}
}

func TestNodeIsMissingOrTooOld(t *testing.T) {
	r := newRepository(t)
	r.program("node", "echo v18.19.0")
	if got := r.runFailing("-port", "0"); !strings.HasPrefix(got, "Node.js v18.19.0 is too old.") {
		t.Errorf("printed %q", got)
	}
	os.Remove(filepath.Join(r.bin, "node"))
	if got := r.runFailing("-port", "0"); !strings.HasPrefix(got, "Node.js is missing.") {
		t.Errorf("printed %q", got)
	}
}

func TestAFolderThatCannotBeWritten(t *testing.T) {
	r := newRepository(t)
	r.write("file", "")
	got := r.runFailing("-data", "file/below")
	if !strings.Contains(got, "cannot be created: not a directory. Choose another one with -data.") {
		t.Errorf("printed %q", got)
	}
	if os.Geteuid() == 0 {
		t.Skip("root can write to every folder, so a read-only folder cannot be tested")
	}
	if err := os.Mkdir(filepath.Join(r.dir, "closed"), 0o500); err != nil {
		t.Fatal(err)
	}
	if got := r.runFailing("-data", "closed"); !strings.Contains(got, "cannot be written: permission denied") {
		t.Errorf("printed %q", got)
	}
}

func TestASecondLauncherOnTheSameFolder(t *testing.T) {
	r := newRepository(t)
	run := r.start()
	if got := r.runFailing("-port", "0"); !strings.HasPrefix(got, "Another launcher uses the data folder ") {
		t.Errorf("printed %q", got)
	}
	other := r.start("-data", "elsewhere")
	for _, launcher := range []*running{run, other} {
		if err := launcher.interrupt(t); err != nil {
			t.Error(err)
		}
	}
}

func TestMissingProgramsAreNamed(t *testing.T) {
	r := newRepository(t)
	out, err := r.launch("-port", "0", "-emulators").CombinedOutput()
	var exit *exec.ExitError
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if !errors.As(err, &exit) || exit.ExitCode() != 1 || len(lines) != 4 ||
		!strings.HasPrefix(lines[0], "redis-server is missing.") || !strings.HasPrefix(lines[1], "Java is missing.") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestCtrlCWhileBuildingEndsNPM(t *testing.T) {
	r := newRepository(t)
	pid, ready := filepath.Join(r.dir, "pid"), filepath.Join(r.dir, "ready")
	r.program("npm", `echo $$ > "`+pid+`"; sleep 600 & echo $! >> "`+pid+`"; touch "`+ready+`"; wait`)
	run := &running{cmd: r.launch("-port", "0"), stderr: &output{}}
	run.cmd.Stderr = run.stderr
	if err := run.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "npm to run", func() bool { _, err := os.Stat(ready); return err == nil })
	var exit *exec.ExitError
	if err := run.interrupt(t); !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("ended with %v\n%s", err, run.stderr)
	}
	b, err := os.ReadFile(pid)
	if err != nil {
		t.Fatal(err)
	}
	for _, field := range strings.Fields(string(b)) {
		pid, err := strconv.Atoi(field)
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, fmt.Sprintf("process %d to end", pid), func() bool { return !alive(pid) })
	}
}

// alive reports whether the process runs. A zombie does not count.
func alive(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return syscall.Kill(pid, 0) == nil && (err != nil || !strings.Contains(string(stat), ") Z "))
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited 20 s for %s", what)
		}
	}
}

func TestDataIsKeptUnlessFresh(t *testing.T) {
	r := newRepository(t)
	signup := func(run *running) int {
		body := `{"email": "ann@example.org", "password": "warm embers at night", "username": "ann", "display_name": "Ann"}`
		resp, err := http.Post(run.URL+"/api/signup", "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	for _, c := range []struct {
		flags []string
		want  int
	}{{nil, http.StatusCreated}, {nil, http.StatusConflict}, {[]string{"-fresh"}, http.StatusCreated}} {
		run := r.start(c.flags...)
		if got := signup(run); got != c.want {
			t.Errorf("with flags %v, signing up is answered %d, want %d", c.flags, got, c.want)
		}
		if err := run.interrupt(t); err != nil {
			t.Error(err)
		}
	}
}

func TestSuperuser(t *testing.T) {
	r := newRepository(t)
	r.env = []string{"ADMIN_SECOND_FACTOR=off"}
	got := r.runFailing("-superuser", "ann@example.org")
	if !strings.HasPrefix(got, "No chat runs with the data folder ") {
		t.Errorf("without a running chat, printed %q", got)
	}
	run := r.start()
	got = r.runFailing("-superuser", "ann@example.org")
	if !strings.HasPrefix(got, "Nobody has signed up with ann@example.org.") {
		t.Errorf("without an account, printed %q", got)
	}
	uid := signUpAnn(t, run)
	for _, c := range []struct {
		flags []string
		want  string
		admin bool
	}{
		// Anybody could have signed up with this address, so the operator has to name and confirm the account.
		{[]string{"-superuser", "Ann@example.org"}, "This account exists, but nobody has verified its address.", false},
		{[]string{"-uid", uid}, "This account exists, but nobody has verified its address.", false},
		{[]string{"-uid", uid, "-confirm", "eve"}, "This account has another username:", false},
		{[]string{"-uid", uid, "-confirm", "ann"}, "Ann is an admin now", true},
		{[]string{"-superuser", "ann@example.org", "-revoke"}, "Ann is no longer an admin.", false},
		{[]string{"-superuser", "Ann@example.org"}, "Ann is an admin now", true},
		{[]string{"-superuser", "ann@example.org", "-revoke"}, "Ann is no longer an admin.", false},
	} {
		out, err := r.launch(c.flags...).CombinedOutput()
		if !strings.HasPrefix(string(out), c.want) || (err == nil) != strings.HasPrefix(c.want, "Ann is") {
			t.Errorf("%v: %q, %v", c.flags, out, err)
		}
		if got := isAdmin(t, run); got != c.admin {
			t.Errorf("after %v, Ann is an admin: %v, want %v", c.flags, got, c.admin)
		}
	}
	if err := run.interrupt(t); err != nil {
		t.Error(err)
	}
}

// annsPassword is the sign-in of Ann as JSON.
const annsPassword = `{"email": "ann@example.org", "password": "warm embers at night"}`

// signUpAnn signs up Ann and returns her uid.
func signUpAnn(t *testing.T, run *running) string {
	t.Helper()
	var ann struct{ UID string }
	postJSON(t, run.URL+"/api/signup",
		`{"email": "ann@example.org", "password": "warm embers at night", "username": "ann", "display_name": "Ann"}`, &ann)
	return ann.UID
}

// isAdmin reports whether Ann, who signs in with the password alone, can list the users.
func isAdmin(t *testing.T, run *running) bool {
	t.Helper()
	var in struct{ IDToken string }
	postJSON(t, "http://"+run.Auth+"/identitytoolkit.googleapis.com/v1/accounts:signInWithPassword?key=local",
		annsPassword, &in)
	status, _ := listUsers(t, run, in.IDToken)
	return status == http.StatusOK
}

// listUsers calls the list of users of the admin panel.
func listUsers(t *testing.T, run *running, token string) (status int, code string) {
	t.Helper()
	return callAPI(t, run, http.MethodGet, "/admin/users", token)
}

// callAPI calls a function. It returns the status and the code of the problem.
func callAPI(t *testing.T, run *running, method, path, token string) (status int, code string) {
	t.Helper()
	req, err := http.NewRequest(method, run.URL+"/api"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var out struct{ Code string }
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, out.Code
}

// A contributor without an authenticator app becomes an admin with the code that the launcher prints.
func TestTheLauncherPrintsCodes(t *testing.T) {
	r := newRepository(t)
	run := r.start()
	uid := signUpAnn(t, run)
	out, err := r.launch("-uid", uid, "-confirm", "ann").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, want := range []string{"1. Sign in at " + run.URL + "\n", "terminal of infra/local",
		"4. Open the panel at " + run.URL + "/admin\n"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("the answer lacks %q:\n%s", want, out)
		}
	}
	auth := "http://" + run.Auth + "/identitytoolkit.googleapis.com/"
	var in struct {
		IDToken string
		Session struct {
			Info string `json:"sessionInfo"`
		} `json:"totpSessionInfo"`
	}
	postJSON(t, auth+"v1/accounts:signInWithPassword?key=local", annsPassword, &in)
	if status, code := listUsers(t, run, in.IDToken); status != http.StatusForbidden || code != "second_factor_required" {
		t.Errorf("without a second factor, the list of users is answered %d %s", status, code)
	}
	postJSON(t, auth+"v2/accounts/mfaEnrollment:start?key=local",
		fmt.Sprintf(`{"idToken": %q, "totpEnrollmentInfo": {}}`, in.IDToken), &in)
	printed := regexp.MustCompile(`(?m)^The code of ann@example\.org's authenticator app is (\d{6})$`)
	var code []string
	eventually(t, "the code to be printed", func() bool {
		code = printed.FindStringSubmatch(run.stderr.String())
		return code != nil
	})
	postJSON(t, auth+"v2/accounts/mfaEnrollment:finalize?key=local",
		fmt.Sprintf(`{"idToken": %q, "totpVerificationInfo": {"sessionInfo": %q, "verificationCode": %q}}`,
			in.IDToken, in.Session.Info, code[1]), &in)
	// As the client does. It records the factor also if the enrollment was in the same second as the sign-in before it.
	if status, code := callAPI(t, run, http.MethodPost, "/me/recovery-codes", in.IDToken); status != http.StatusOK {
		t.Errorf("the recovery codes are answered %d %s", status, code)
	}
	if status, code := listUsers(t, run, in.IDToken); status != http.StatusOK {
		t.Errorf("with a second factor, the list of users is answered %d %s", status, code)
	}
	if err := run.interrupt(t); err != nil {
		t.Error(err)
	}
}

func TestFlags(t *testing.T) {
	r := newRepository(t)
	out, err := r.launch("-help").CombinedOutput()
	if err != nil {
		t.Errorf("-help: %v", err)
	}
	for _, flag := range []string{"-data", "-emulators", "-fresh", "-instances", "-json", "-port", "-redis",
		"-superuser", "-uid", "-confirm"} {
		if !strings.Contains(string(out), "\n  "+flag) {
			t.Errorf("-help does not mention %s:\n%s", flag, out)
		}
	}
	for _, flags := range [][]string{{"-nonsense"}, {"extra"}, {"-instances", "0"}, {"-port", "70000"}} {
		var exit *exec.ExitError
		if out, err := r.launch(flags...).CombinedOutput(); !errors.As(err, &exit) || exit.ExitCode() != 2 {
			t.Errorf("%v: %v\n%s", flags, err, out)
		}
	}
	for _, env := range [][]string{{"ADMIN_SECOND_FACTOR=no"},
		{"ADMIN_SECOND_FACTOR=required", "FIREBASE_AUTH_EMULATOR_HOST=127.0.0.1:1"}} {
		r.env = env
		var exit *exec.ExitError
		out, err := r.launch().CombinedOutput()
		if !errors.As(err, &exit) || exit.ExitCode() != 2 || !strings.HasPrefix(string(out), "ADMIN_SECOND_FACTOR") {
			t.Errorf("%v: %v\n%s", env, err, out)
		}
	}
	r.env = nil
	outside := r.launch()
	outside.Dir = r.bin
	out, err = outside.CombinedOutput()
	if err == nil || !strings.HasPrefix(string(out), "Run this inside the Phoenix Chat repository.") {
		t.Errorf("outside the repository: %v, %q", err, out)
	}
}
