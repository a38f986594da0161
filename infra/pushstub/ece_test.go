package pushstub

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/phoenixchat/phoenixchat/functions/push"
	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/infra/internal/webbuild"
)

// eceRequest and eceAnswer are what testdata/ece.mjs reads and writes. Strings are in base64url, except the header.
type (
	eceRequest struct {
		Decrypt []eceDecrypt `json:"decrypt"`
		Encrypt []eceEncrypt `json:"encrypt"`
		VAPID   string       `json:"vapid"`
	}
	eceDecrypt struct {
		Body    string `json:"body"`
		Private string `json:"private"`
		Auth    string `json:"auth"`
	}
	eceEncrypt struct {
		Content string `json:"content"`
		Public  string `json:"public"`
		Auth    string `json:"auth"`
		Pad     int    `json:"pad"`
	}
	eceAnswer struct {
		Decrypted []string
		Encrypted []string
		VAPID     struct {
			Valid  bool
			Header struct{ Alg, Typ string }
			Claims struct {
				Aud, Sub string
				Exp      int64
			}
			Key string
		}
	}
)

// call runs testdata/ece.mjs. Without Node.js it skips the test.
func (r eceRequest) call(t *testing.T) (a eceAnswer) {
	t.Helper()
	if err := webbuild.CheckNode(t.Context()); err != nil {
		t.Skip(err)
	}
	web, err := filepath.Abs("../../web")
	if err != nil {
		t.Fatal(err)
	}
	script, err := filepath.Abs("testdata/ece.mjs")
	if err != nil {
		t.Fatal(err)
	}
	if err := webbuild.Install(t.Context(), web, func(s string) { t.Log(s) }); err != nil {
		t.Fatal(err)
	}
	in, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "node", script)
	cmd.Dir, cmd.Stdin = web, bytes.NewReader(in)
	var failure bytes.Buffer
	cmd.Stderr = &failure
	out, err := cmd.Output()
	if err == nil {
		err = json.Unmarshal(out, &a)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, failure.String())
	}
	return a
}

// TestAnotherImplementation compares our encryption, the decryption of Receiver and our VAPID header with those of
// implementations that share no code with them.
func TestAnotherImplementation(t *testing.T) {
	encode := base64.RawURLEncoding.EncodeToString
	sizes := []int{0, 1, 17, 1000, push.MaxContent}
	contents := make([][]byte, len(sizes))
	for i, n := range sizes {
		contents[i] = bytes.Repeat([]byte{0, 1, 2, 0xff}, n/4+1)[:n] // also bytes that are delimiters of the padding
	}
	receiver, err := NewReceiver()
	if err != nil {
		t.Fatal(err)
	}
	p256dh, auth := receiver.Keys()

	// A push service that keeps what our sender sends.
	var header string
	var bodies [][]byte
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		header, bodies = r.Header.Get("Authorization"), append(bodies, body)
		w.WriteHeader(http.StatusCreated)
	}))
	defer service.Close()
	keys := push.NewFileKeys(filepath.Join(t.TempDir(), "push.json"))
	pair, err := keys.Pair(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	sender := push.NewSender(push.Services{Local: service.URL}, keys, "https://chat.example.org")
	defer sender.Close()
	to := store.Subscription{Endpoint: service.URL + "/push/1"}
	if to.P256DH, to.Auth, err = push.DecodeKeys(p256dh, auth); err != nil {
		t.Fatal(err)
	}
	var request eceRequest
	sent := time.Now()
	for _, content := range contents {
		if r := sender.Send(t.Context(), to, "topic", content); r.Outcome != push.Accepted {
			t.Fatalf("%d bytes: %+v", len(content), r)
		}
	}
	for i, body := range bodies {
		request.Decrypt = append(request.Decrypt,
			eceDecrypt{Body: encode(body), Private: encode(receiver.private.Bytes()), Auth: auth})
		for _, pad := range []int{0, 3} {
			request.Encrypt = append(request.Encrypt,
				eceEncrypt{Content: encode(contents[i]), Public: p256dh, Auth: auth, Pad: pad})
		}
	}
	request.VAPID = header
	answer := request.call(t)

	if len(answer.Decrypted) != len(contents) || len(answer.Encrypted) != 2*len(contents) {
		t.Fatalf("%d decrypted, %d encrypted", len(answer.Decrypted), len(answer.Encrypted))
	}
	for i, got := range answer.Decrypted {
		if got != encode(contents[i]) {
			t.Errorf("of %d bytes that we have encrypted, it decrypts %.100s", sizes[i], got)
		}
	}
	for i, body := range answer.Encrypted {
		got, err := receiver.Decrypt(decoded(t, body))
		if err != nil || !bytes.Equal(got, contents[i/2]) {
			t.Errorf("of %d bytes that it has encrypted, Receiver decrypts %.100q, %v", sizes[i/2], got, err)
		}
	}
	v := answer.VAPID
	expires := time.Unix(v.Claims.Exp, 0)
	if !v.Valid || v.Header.Alg != "ES256" || v.Key != pair.Public || v.Claims.Aud != service.URL ||
		!strings.HasPrefix(v.Claims.Sub, "https://") {
		t.Errorf("the VAPID header: %+v", v)
	}
	if !expires.After(sent) || expires.After(sent.Add(24*time.Hour)) {
		t.Errorf("the signature expires at %v, %v after it was made", expires, expires.Sub(sent))
	}
}
