package terraform

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/phoenixchat/phoenixchat/functions/password"
	"github.com/phoenixchat/phoenixchat/infra/internal/freeport"
)

// TestRealtimeSettings compares the settings that realtime reads with those that Terraform and the image set. A
// setting that is not set has an accidental default, and one that is not read has no effect.
func TestRealtimeSettings(t *testing.T) {
	s := applied(t)
	set := map[string]bool{}
	env, _ := at(s.one(t, "google_cloud_run_v2_service.realtime").Values, "template", 0, "containers", 0, "env").([]any)
	for _, e := range env {
		name, _ := at(e, "name").(string)
		set[name] = true
	}
	compareSettings(t, settingsIn(t, "../../realtime/cmd/realtime/config.go"), set, map[string]string{
		"PORT":                        "Cloud Run sets it",
		"CLIENT_DIR":                  "the image sets it",
		"FIREBASE_AUTH_EMULATOR_HOST": "refused on Cloud Run",
		"FIRESTORE_EMULATOR_HOST":     "refused on Cloud Run",
		"PUBSUB_EMULATOR_HOST":        "refused on Cloud Run",
		"PLACE_HEADER":                "only a load balancer supplies places",
	})
}

func TestFunctionSettings(t *testing.T) {
	s := applied(t)
	read := settingsIn(t, "../../functions/config.go")
	for _, f := range s.of("google_cloudfunctions2_function") {
		set := map[string]bool{}
		env, _ := at(f.Values, "service_config", 0, "environment_variables").(map[string]any)
		for name := range env {
			set[name] = true
		}
		compareSettings(t, read, set, map[string]string{
			"ADMIN_SECOND_FACTOR":         "Google Cloud accepts nothing but the default",
			"FIREBASE_AUTH_EMULATOR_HOST": "refused on Cloud Run",
			"FIRESTORE_EMULATOR_HOST":     "refused on Cloud Run",
			"PUBSUB_EMULATOR_HOST":        "refused on Cloud Run",
			"PLACE_HEADER":                "only a load balancer supplies places",
		})
	}
}

// compareSettings reports settings that are read but not set, set but not read, or excused unnecessarily.
func compareSettings(t *testing.T, read, set map[string]bool, excused map[string]string) {
	t.Helper()
	if len(read) < 3 {
		t.Fatalf("found only %d settings: %v", len(read), read)
	}
	for _, name := range slices.Sorted(maps.Keys(read)) {
		if !set[name] && excused[name] == "" {
			t.Errorf("%s is read, but Terraform does not set it", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(set)) {
		if !read[name] {
			t.Errorf("%s is set by Terraform, but never read", name)
		}
		if excused[name] != "" {
			t.Errorf("%s is set by Terraform, although %s", name, excused[name])
		}
	}
	for name := range excused {
		if !read[name] {
			t.Errorf("%s is excused, but never read", name)
		}
	}
}

// settingsIn returns the names in the table "settings" of a Go file, in which a program lists everything that it reads
// from the environment (package env).
func settingsIn(t *testing.T, file string) map[string]bool {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	ast.Inspect(f, func(n ast.Node) bool {
		v, ok := n.(*ast.ValueSpec)
		if !ok || len(v.Names) != 1 || v.Names[0].Name != "settings" || len(v.Values) != 1 {
			return true
		}
		list, ok := v.Values[0].(*ast.CompositeLit)
		if !ok {
			return true
		}
		for _, e := range list.Elts {
			entry, ok := e.(*ast.CompositeLit)
			if !ok {
				continue
			}
			for _, field := range entry.Elts {
				kv, ok := field.(*ast.KeyValueExpr)
				if !ok {
					continue
				}
				key, isIdent := kv.Key.(*ast.Ident)
				lit, isLit := kv.Value.(*ast.BasicLit)
				if !isIdent || key.Name != "Name" || !isLit {
					continue
				}
				if name, err := strconv.Unquote(lit.Value); err == nil {
					names[name] = true
				}
			}
		}
		return false
	})
	return names
}

// TestRealtimeAcceptsItsSettings starts realtime with the settings that Terraform sets, as on Cloud Run. Only the
// address and the certificate of Redis differ (no Redis runs at that address), and the service account is invented.
func TestRealtimeAcceptsItsSettings(t *testing.T) {
	s := applied(t)
	binary := filepath.Join(t.TempDir(), "realtime")
	if out, err := exec.Command("go", "build", "-o", binary, "../../realtime/cmd/realtime").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, tail(out))
	}
	client := t.TempDir()
	page := []byte("<!doctype html><title>Chat</title>")
	if err := os.WriteFile(filepath.Join(client, "index.html"), page, 0o644); err != nil {
		t.Fatal(err)
	}
	port, err := freeport.Find()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary)
	cmd.Env = []string{"PORT=" + port, "CLIENT_DIR=" + client, "K_SERVICE=chat", "K_REVISION=chat-00001-abc",
		"GOOGLE_APPLICATION_CREDENTIALS=" + madeUpAccount(t)}
	env, _ := at(s.one(t, "google_cloud_run_v2_service.realtime").Values, "template", 0, "containers", 0, "env").([]any)
	for _, e := range env {
		value, _ := at(e, "value").(string)
		switch at(e, "name") {
		case "REDIS_CA":
			value = testAuthority
		case "REDIS_ADDR":
			value = "127.0.0.1:1"
		}
		cmd.Env = append(cmd.Env, fmt.Sprintf("%v=%s", at(e, "name"), value))
	}
	p := start(t, cmd)
	config := p.fetch(t, "http://127.0.0.1:"+port+"/config.json", "chat-123456789012.europe-west1.run.app")
	const want = `{"api_base":"https://europe-west1-acme-chat.cloudfunctions.net",` +
		`"realtime_url":"wss://chat-123456789012.europe-west1.run.app/ws",` +
		`"firebase":{"apiKey":"a-public-key","projectId":"acme-chat","authDomain":"acme-chat.firebaseapp.com"},` +
		`"origins":["https://chat-123456789012.europe-west1.run.app","https://old.example.org"]}`
	if strings.TrimSpace(config) != want {
		t.Errorf("/config.json is %s\nwant %s", config, want)
	}
	out := p.stop()
	for _, secret := range []string{"a-public-key", "BEGIN CERTIFICATE", "PRIVATE KEY"} {
		if strings.Contains(out, secret) {
			t.Errorf("realtime printed a value that must not be printed:\n%s", out)
		}
	}
}

// madeUpAccount writes a credentials file of an account that does not exist. No server listens at its token address.
func madeUpAccount(t *testing.T) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(map[string]string{
		"type": "service_account", "project_id": "acme-chat", "private_key_id": "1", "client_id": "1",
		"client_email": "chat-realtime@acme-chat.iam.gserviceaccount.com",
		"private_key":  string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
		"token_uri":    "http://127.0.0.1:1/token",
	})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "account.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestCappedServices checks that the function cap may change exactly the services that it switches off.
func TestCappedServices(t *testing.T) {
	code, err := os.ReadFile("../../functions/functions.go")
	if err != nil {
		t.Fatal(err)
	}
	conf, err := os.ReadFile("cap.tf")
	if err != nil {
		t.Fatal(err)
	}
	list := regexp.MustCompile(`var httpFunctions = \[\]string\{(.*)\}`).FindSubmatch(code)
	modules := regexp.MustCompile(`for f in \[(.*)\] : f\.name`).FindSubmatch(conf)
	if list == nil || modules == nil || !strings.Contains(string(code), `append([]string{"chat"}, httpFunctions...)`) {
		t.Fatal("the lists were not found")
	}
	if got := strings.ReplaceAll(string(modules[1]), "module.", ""); got != strings.ReplaceAll(string(list[1]), `"`, "") {
		t.Errorf("cap.tf lets the function change %s, and the code switches off %s", got, list[1])
	}
}

// TestPasswordPolicy checks that sign-up and Identity Platform require the same minimum length.
func TestPasswordPolicy(t *testing.T) {
	text, err := os.ReadFile("identity.tf")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`min_password_length += (\d+)`).FindSubmatch(text)
	if m == nil || string(m[1]) != strconv.Itoa(password.Min) {
		t.Errorf("identity.tf sets %q, but sign-up requires %d", m, password.Min)
	}
}

// TestAuthenticatorApps checks that Identity Platform accepts the codes that the stand-in accepts, and text messages
// never.
func TestAuthenticatorApps(t *testing.T) {
	code, err := os.ReadFile("../authstub/factors.go")
	if err != nil {
		t.Fatal(err)
	}
	skew := regexp.MustCompile(`codeSkew += (\d+)`).FindSubmatch(code)
	if skew == nil {
		t.Fatal("factors.go has no codeSkew")
	}
	mfa, _ := at(applied(t).one(t, "google_identity_platform_config.this").Values, "mfa", 0).(map[string]any)
	apps := at(mfa, "provider_configs", 0)
	got := fmt.Sprint(at(mfa, "state"), at(apps, "state"), at(apps, "totp_provider_config", 0, "adjacent_intervals"))
	if want := fmt.Sprint("ENABLED", "ENABLED", string(skew[1])); got != want || at(mfa, "enabled_providers", 0) != nil {
		t.Errorf("Identity Platform has the second factors %v, want authenticator apps with %s adjacent intervals alone",
			mfa, skew[1])
	}
}

// TestMailLinks checks that links in Google's mails lead to the page to which those of the stand-in lead, that the call
// changes nothing else, and that an apply continues in a project in which Google refuses the setting.
func TestMailLinks(t *testing.T) {
	text, err := os.ReadFile("identity.tf")
	if err != nil {
		t.Fatal(err)
	}
	codes, err := os.ReadFile("../authstub/codes.go")
	if err != nil {
		t.Fatal(err)
	}
	page := regexp.MustCompile(`callbackUri = "\$\{local\.hosted_url\}(/\w+)"`).FindSubmatch(text)
	if page == nil || !bytes.Contains(codes, append([]byte(`+host+"`), append(page[1], '?')...)) {
		t.Errorf("Google's links lead to the page %q, and those of the stand-in to another one", page)
	}
	for _, want := range []string{
		`?updateMask=notification.sendEmail.callbackUri"`, `"EMAIL_TEMPLATE_UPDATE_NOT_ALLOWED"`,
	} {
		if !bytes.Contains(text, []byte(want)) {
			t.Errorf("identity.tf does not have %s", want)
		}
	}
}

// testAuthority is a certificate like that of Redis's authority. Its key was not kept.
const testAuthority = `-----BEGIN CERTIFICATE-----
MIIBiTCCAS+gAwIBAgIUHgj5VjDsCY8CtDWCiVhMN21bXU4wCgYIKoZIzj0EAwIw
GTEXMBUGA1UEAwwOdGVzdCBhdXRob3JpdHkwIBcNMjYxMTIyMTI0NDMwWhgPMjEy
NjEwMjkxMjQ0MzBaMBkxFzAVBgNVBAMMDnRlc3QgYXV0aG9yaXR5MFkwEwYHKoZI
zj0CAQYIKoZIzj0DAQcDQgAERFYimtUC+nT2xCaJsw1XLn0VtqAohf0chr212GzC
1u1/XFiKp8SZHUB9RVkcdbIu8NzUhdM8e3UJdVMZ0DMg26NTMFEwHQYDVR0OBBYE
FHcEETCbOBs4nKX6CW1clALJBLSdMB8GA1UdIwQYMBaAFHcEETCbOBs4nKX6CW1c
lALJBLSdMA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDSAAwRQIhAPq2SEvS
DRYMfKxAtiPhu4yhTa2+uIMoznRhSrJyvYTUAiAjSt9sexFfpTWk/W1fhAoFcLKw
bR3TEVFHDZMjhtJvrQ==
-----END CERTIFICATE-----`
