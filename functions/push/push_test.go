package push_test

import (
	"crypto/ecdh"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/phoenixchat/phoenixchat/functions/push"
)

func services(t *testing.T, list string) push.Services {
	t.Helper()
	s, err := push.ParseServices(list)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestEndpoints(t *testing.T) {
	s := services(t, push.DefaultServices+", push.example.org ")
	s.Local = "http://127.0.0.1:8080"
	for _, good := range []string{
		"https://fcm.googleapis.com/fcm/send/abc:def-_",
		"https://updates.push.services.mozilla.com/wpush/v2/gAAAA?x=1",
		"https://wns2-par02p.notify.windows.com/w/?token=Bw%3d",
		"https://web.push.apple.com/QH",
		"https://push.example.org",
		"http://127.0.0.1:8080/push/1",
	} {
		if err := s.Check(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{
		"", "x", "//fcm.googleapis.com/x", "http://fcm.googleapis.com/x", "ftp://fcm.googleapis.com/x",
		"https://fcm.googleapis.com:8443/x", "https://fcm.googleapis.com:443/x", "https://me@fcm.googleapis.com/x",
		"https://fcm.googleapis.com/x#y", "https://fcm.googleapis.com./x", "https://FCM.googleapis.com/x",
		"https://fcm.googleapis.com.evil.org/x", "https://evilfcm.googleapis.com/x", "https://googleapis.com/x",
		"https://notify.windows.com/x", "https://.notify.windows.com", "https://evilnotify.windows.com/x",
		"https://evil.org/fcm.googleapis.com", "https://evil.org\\@fcm.googleapis.com/x", "https://evil.org /x",
		"https://evil.org?@fcm.googleapis.com/", "https://127.0.0.1/x", "https://[::1]/x", "https://169.254.169.254/x",
		"https://metadata.google.internal/x", "https://localhost/x", "https://fcm.googleapis.com\u3002evil.org/x",
		"http://127.0.0.1:8080", "http://127.0.0.1:8080@evil.org/", "http://127.0.0.1:80800/x", "http://127.0.0.1:8081/x",
		"https://fcm.googleapis.com/x\r\nHost: y", "https://fcm.googleapis.com/" + strings.Repeat("x", 1000),
	} {
		if err := s.Check(bad); !errors.Is(err, push.ErrEndpoint) {
			t.Errorf("%q: %v, want ErrEndpoint", bad, err)
		}
	}
	if (push.Services{}).Check("https://fcm.googleapis.com/x") == nil {
		t.Error("no services, and one is accepted")
	}
}

func TestParseServices(t *testing.T) {
	for _, bad := range []string{
		"localhost", "*", "*.", "a.b/c", "a.b:443", "https://a.b", "a.*.b", "*.*.b.c", "127.0.0.1", "[::1]", "A.b", "a.b@c.d",
		"fcm.googleapis.com,10.0.0.1", "a.b?", "a.b.",
	} {
		if _, err := push.ParseServices(bad); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

func TestKeysOfSubscriptions(t *testing.T) {
	k, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	b64 := base64.RawURLEncoding.EncodeToString
	point := k.PublicKey().Bytes()
	outside := append([]byte(nil), point...)
	outside[64] ^= 1
	p256dh, auth := b64(point), b64(make([]byte, 16))
	for _, padding := range []string{"", "=="} {
		p, s, err := push.DecodeKeys(p256dh, auth+padding)
		if err != nil || len(p) != 65 || len(s) != 16 {
			t.Errorf("keys: %d and %d bytes, %v", len(p), len(s), err)
		}
	}
	for name, keys := range map[string][2]string{
		"nothing":                  {"", ""},
		"no secret":                {p256dh, ""},
		"a short secret":           {p256dh, b64(make([]byte, 15))},
		"a long secret":            {p256dh, b64(make([]byte, 17))},
		"a point beside the curve": {b64(outside), auth},
		"infinity":                 {b64([]byte{0}), auth},
		"a compressed point":       {b64(append([]byte{2}, point[1:33]...)), auth},
		"half a point":             {b64(point[:64]), auth},
		"another alphabet":         {base64.StdEncoding.EncodeToString(append([]byte{0xfb, 0xff}, point...)), auth},
	} {
		if _, _, err := push.DecodeKeys(keys[0], keys[1]); !errors.Is(err, push.ErrKeys) {
			t.Errorf("%s: %v, want ErrKeys", name, err)
		}
	}
	for device, want := range map[string]error{"": push.ErrDevice, strings.Repeat("x", 65): push.ErrDevice, "phone": nil} {
		if err := push.CheckDevice(device); !errors.Is(err, want) {
			t.Errorf("device %q: %v", device, err)
		}
	}
}
