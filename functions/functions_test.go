package functions

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/GoogleCloudPlatform/functions-framework-go/funcframework"
	"github.com/google/uuid"

	"github.com/phoenixchat/phoenixchat/functions/accounts"
	"github.com/phoenixchat/phoenixchat/functions/accounts/accountstest"
	"github.com/phoenixchat/phoenixchat/functions/store/storefirestore"
	"github.com/phoenixchat/phoenixchat/infra/authstub/authstubtest"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/delivery"
	"github.com/phoenixchat/phoenixchat/realtime/testwait"
)

// asFunction is an environment variable that makes the test program run as a deployed function.
const asFunction = "PHOENIX_TEST_AS_FUNCTION"

func TestMain(m *testing.M) {
	if os.Getenv(asFunction) != "" {
		if err := funcframework.StartHostPort("127.0.0.1", os.Getenv("PORT")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// deploy runs a function as Google does: one process, one target, served at every path. It returns its address.
func deploy(t *testing.T, target string, settings ...string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	l.Close()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(settings, asFunction+"=1", "PORT="+port, "FUNCTION_TARGET="+target, "PATH="+os.Getenv("PATH"),
		"HOME="+t.TempDir())
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Logf("output of %s:\n%s", target, &out)
		}
	})
	testwait.Listening(t, "127.0.0.1:"+port)
	return "http://127.0.0.1:" + port
}

func call(t *testing.T, method, url, token string, in any) (int, map[string]any) {
	t.Helper()
	b, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	_ = json.Unmarshal(body, &out) // the framework's own answers are not JSON
	return resp.StatusCode, out
}

func pushOf(data []byte) map[string]any {
	return map[string]any{"subscription": "projects/p/subscriptions/s",
		"message": map[string]any{"data": base64.StdEncoding.EncodeToString(data),
			"messageId": "1", "publishTime": time.Now().UTC().Format(time.RFC3339Nano)}}
}

// A function that cannot be built answers 503. It is built as soon as that is possible.
func TestBuildIsRetried(t *testing.T) {
	ready := false
	s := newService(func(name string) string {
		if !ready {
			return ""
		}
		return getenv("FIRESTORE_EMULATOR_HOST", "127.0.0.1:1", "PUBSUB_EMULATOR_HOST", "127.0.0.1:1",
			"FIREBASE_AUTH_EMULATOR_HOST", "127.0.0.1:1")(name)
	})
	get := func() *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		s.http("me").ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		return w
	}
	for range 2 {
		if w := get(); w.Code != 503 || !strings.Contains(w.Body.String(), `"code":"unavailable"`) ||
			strings.Contains(w.Body.String(), "PROJECT_ID") || w.Header().Get("Retry-After") == "" {
			t.Fatalf("without settings: %d %s, want 503", w.Code, w.Body)
		}
	}
	ready = true
	if w := get(); w.Code != 401 {
		t.Errorf("with settings: %d %s, want 401", w.Code, w.Body)
	}
}

// On Cloud Run, no function starts with an emulator.
func TestEmulatorsAreRefusedOnCloudRun(t *testing.T) {
	settings := []string{"PROJECT_ID=p", "HOSTED_URL=https://chat.example.org", "FIREBASE_API_KEY=k",
		"INTERNAL_URL=https://rt.run.app",
		"K_SERVICE=x", "FIREBASE_AUTH_EMULATOR_HOST=127.0.0.1:1"}
	for _, target := range []string{"me", "persist", "notify"} {
		doesNotStart(t, target, "FIREBASE_AUTH_EMULATOR_HOST", settings...)
	}
}

// On Cloud Run, a function with a missing or wrong setting does not start, so that its revision gets no traffic. The
// log names every such setting.
func TestWrongSettingsOnCloudRun(t *testing.T) {
	for _, target := range append([]string{"persist"}, httpFunctions...) {
		doesNotStart(t, target, "PROJECT_ID is not set", "K_SERVICE=x")
	}
	out := doesNotStart(t, "signup", "INTERNAL_URL", "K_SERVICE=x", "PROJECT_ID=p", "HOSTED_URL=https://chat.example.org",
		"FIREBASE_API_KEY=hidden-key", "INTERNAL_URL=rt.run.app", "SIGNUPS_HOURLY=many")
	if !strings.Contains(out, "SIGNUPS_HOURLY") || strings.Contains(out, "hidden-key") {
		t.Errorf("the log must name both settings, and no secret: %s", out)
	}
}

// doesNotStart runs a function like deploy. It must end with an error, and its log must contain want.
func doesNotStart(t *testing.T, target, want string, settings ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(settings, asFunction+"=1", "PORT=0", "FUNCTION_TARGET="+target, "HOME="+t.TempDir())
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil || err == nil {
		t.Errorf("%s: started, or ended without an error: %v", target, err)
	}
	if !strings.Contains(string(out), want) || !strings.Contains(string(out), `"severity":"ERROR"`) {
		t.Errorf("%s: the log lacks %q: %s", target, want, out)
	}
	return string(out)
}

// The functions work as they are deployed, each in its own process under the real framework, over Firestore: users
// sign up, a message is pushed, and it is in their history.
func TestDeployed(t *testing.T) {
	firestore := os.Getenv("PHOENIX_TEST_FIRESTORE")
	if firestore == "" {
		t.Skip("PHOENIX_TEST_FIRESTORE is not set: no Firestore emulator to test with")
	}
	project := "f" + uuid.NewString()[:8]
	authHost := authstubtest.Start(t, project)
	settings := []string{"PROJECT_ID=" + project, "HOSTED_URL=https://chat.example.org", "FIREBASE_API_KEY=k",
		"INTERNAL_URL=http://127.0.0.1:1",
		"FIREBASE_AUTH_EMULATOR_HOST=" + authHost, "FIRESTORE_EMULATOR_HOST=" + firestore, "PUBSUB_EMULATOR_HOST=127.0.0.1:1"}
	signup := deploy(t, "signup", settings...)
	uid := map[string]string{}
	token := map[string]string{}
	for _, name := range []string{"ada", "bob"} {
		status, out := call(t, "POST", signup, "", map[string]string{"email": name + "@example.org",
			"password": "correct horse", "username": name, "display_name": name})
		if status != 201 {
			t.Fatalf("sign-up: %d %v, want 201", status, out)
		}
		uid[name], _ = out["uid"].(string)
		var err error
		if token[name], err = accountstest.SignIn(t.Context(), authHost, name+"@example.org", "correct horse"); err != nil {
			t.Fatal(err)
		}
	}
	now := chat.MicrosOf(time.Now())
	m := delivery.Delivered{Message: chat.Message{ID: uuid.Must(uuid.NewV7()).String(),
		Conversation: chat.ConversationID(uid["ada"], uid["bob"]),
		From:         uid["ada"], To: uid["bob"], Body: "hello ☂", At: now, AcceptedAt: now}, DeliveredAt: now}
	data, err := delivery.Batch{Delivered: []delivery.Delivered{m}}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	persist := deploy(t, "persist", settings...)
	for range 2 {
		if status, _ := call(t, "POST", persist+"/projects/p/topics/delivery-acks", "", pushOf(data)); status != 200 {
			t.Fatalf("push: status %d, want 200", status)
		}
	}
	// If a dead letter cannot be published, the push fails.
	if status, _ := call(t, "POST", persist, "", pushOf([]byte("malformed"))); status != 500 {
		t.Errorf("malformed push without a dead-letter topic: status %d, want 500", status)
	}
	status, out := call(t, "GET", deploy(t, "messages", settings...)+"?conversation="+m.Conversation, token["bob"], nil)
	list, _ := out["messages"].([]any)
	if status != 200 || len(list) != 1 || list[0].(map[string]any)["body"] != "hello ☂" {
		t.Errorf("history: %d %v", status, out)
	}
	users := deploy(t, "users", settings...)
	if status, out = call(t, "GET", users+"/"+uid["ada"], token["bob"], nil); status != 200 || out["username"] != "ada" {
		t.Errorf("one user: %d %v", status, out)
	}
	if status, out = call(t, "GET", users+"/?q=ad", token["bob"], nil); status != 200 || len(out["users"].([]any)) != 1 {
		t.Errorf("directory: %d %v", status, out)
	}
	makeAdmin(t, project, firestore, authHost, uid["ada"])
	ada, err := accountstest.SignIn(t.Context(), authHost, "ada@example.org", "correct horse")
	if err != nil {
		t.Fatal(err)
	}
	status, out = call(t, "GET", deploy(t, "admin", settings...)+"/users", ada, nil)
	if status != 403 || out["code"] != "second_factor_required" {
		t.Errorf("an admin without a second factor: %d %v", status, out)
	}
	off := append(settings, "ADMIN_SECOND_FACTOR=off")
	if status, out = call(t, "GET", deploy(t, "admin", off...)+"/users", ada, nil); status != 200 {
		t.Errorf("an admin, with ADMIN_SECOND_FACTOR=off: %d %v", status, out)
	}
}

// makeAdmin makes a user an admin.
func makeAdmin(t *testing.T, project, firestore, authHost, uid string) {
	t.Helper()
	db, err := storefirestore.Open(t.Context(), storefirestore.Options{Project: project, EmulatorHost: firestore})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	auth, err := accounts.NewFirebase(t.Context(), accounts.Options{Project: project, EmulatorHost: authHost})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.SetAdmin(t.Context(), uid, true, false); err != nil {
		t.Fatal(err)
	}
	if err := auth.SetAdmin(t.Context(), uid, true); err != nil {
		t.Fatal(err)
	}
}
