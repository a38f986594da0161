package main

import (
	"bytes"
	"context"
	"maps"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/phoenixchat/phoenixchat/realtime/logging"
)

// good is the least that must be set.
var good = map[string]string{
	"PROJECT_ID": "demo-chat", "HOSTED_URL": "https://chat.example.org", "API_BASE": "https://europe-west1-demo-chat.cloudfunctions.net",
	"FIREBASE_API_KEY": "AIzaKey", "REDIS_ADDR": "10.0.0.3:6379",
}

func with(change map[string]string) func(string) string {
	env := maps.Clone(good)
	maps.Copy(env, change)
	return func(name string) string { return env[name] }
}

func TestDefaults(t *testing.T) {
	c, err := readConfig(with(nil))
	if err != nil {
		t.Fatal(err)
	}
	if c.port != 8080 || c.realtimeURL != "wss://chat.example.org/ws" || c.topic != "delivery-acks" || c.clientDir != "/client" ||
		c.authDomain != "demo-chat.firebaseapp.com" || c.internalAudience != "https://chat.example.org" || c.maxSockets != 950 ||
		c.ageMin != 45*time.Minute || c.ageMax != 55*time.Minute || c.redisCluster || c.redisIAM || c.redisCA != nil ||
		len(c.origins) != 1 || c.origins[0] != "https://chat.example.org" {
		t.Errorf("%+v", c)
	}
}

const ca = `-----BEGIN CERTIFICATE-----
MIIBUTCB96ADAgECAgEBMAoGCCqGSM49BAMCMA8xDTALBgNVBAMTBHRlc3QwHhcN
MjYwMTAxMDAwMDAwWhcNMzYwMTAxMDAwMDAwWjAPMQ0wCwYDVQQDEwR0ZXN0MFkw
-----END CERTIFICATE-----`

func TestEveryProblemIsNamedAtOnce(t *testing.T) {
	for name, tc := range map[string]struct {
		change map[string]string
		want   []string
	}{
		"nothing set": {map[string]string{"PROJECT_ID": "", "HOSTED_URL": "", "API_BASE": "", "FIREBASE_API_KEY": "", "REDIS_ADDR": ""},
			[]string{"PROJECT_ID is not set", "HOSTED_URL is not set", "API_BASE is not set", "FIREBASE_API_KEY is not set", "REDIS_ADDR is not set"}},
		"all wrong": {map[string]string{"PORT": "http", "HOSTED_URL": "chat.example.org", "API_BASE": "/api", "REALTIME_URL": "https://x/ws",
			"REDIS_ADDR": "redis", "REDIS_CA": "none", "REDIS_CLUSTER": "perhaps", "REDIS_IAM": "2", "MAX_SOCKETS": "0", "SOCKET_AGE_MIN": "50m",
			"SOCKET_AGE_MAX": "40m", "LOG_LEVEL": "loud", "INTERNAL_CALLERS": "someone", "EXTRA_ORIGINS": "https://a/b"},
			[]string{"PORT:", "HOSTED_URL:", "API_BASE:", "REALTIME_URL:", "REDIS_ADDR:", "REDIS_CA:", "REDIS_CLUSTER:", "REDIS_IAM:", "MAX_SOCKETS:",
				"SOCKET_AGE_MAX:", "LOG_LEVEL:", "INTERNAL_CALLERS:", "EXTRA_ORIGINS:"}},
		"an age of Cloud Run's limit": {map[string]string{"SOCKET_AGE_MAX": "60m"}, []string{"SOCKET_AGE_MAX:"}},
		"broken certificate":          {map[string]string{"REDIS_CA": ca}, []string{"REDIS_CA:"}},
		"emulators on Cloud Run": {map[string]string{"K_SERVICE": "chat", "FIREBASE_AUTH_EMULATOR_HOST": "h:1", "FIRESTORE_EMULATOR_HOST": "h:2", "PUBSUB_EMULATOR_HOST": "h:3"},
			[]string{"FIREBASE_AUTH_EMULATOR_HOST:", "FIRESTORE_EMULATOR_HOST:", "PUBSUB_EMULATOR_HOST:"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := readConfig(with(tc.change))
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error does not name %s\n%v", want, err)
				}
			}
			if got := strings.Count(err.Error(), "\n") + 1; got != len(tc.want) {
				t.Errorf("%d lines, want %d:\n%v", got, len(tc.want), err)
			}
		})
	}
}

func TestEmulatorsElsewhere(t *testing.T) {
	c, err := readConfig(with(map[string]string{"FIREBASE_AUTH_EMULATOR_HOST": "127.0.0.1:9099"}))
	if err != nil {
		t.Fatal(err)
	}
	if got := c.client().AuthEmulatorURL; got != "http://127.0.0.1:9099" {
		t.Errorf("client is told %q", got)
	}
}

func TestSecretsAreNotPrinted(t *testing.T) {
	var out bytes.Buffer
	env := with(map[string]string{"REDIS_CA": ca})
	c, _ := readConfig(env)
	c.print(logging.New(&out, logging.Options{JSON: true}), env)
	if strings.Contains(out.String(), "AIzaKey") || strings.Contains(out.String(), "BEGIN") {
		t.Errorf("printed: %s", out.String())
	}
	for _, want := range []string{`"FIREBASE_API_KEY":"(set)"`, `"PROJECT_ID":"demo-chat"`, `"TOPIC":"delivery-acks"`} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %s in %s", want, out.String())
		}
	}
}

func TestUsageTellsEverySetting(t *testing.T) {
	var out bytes.Buffer
	usage(&out)
	for _, s := range settings {
		if !strings.Contains(out.String(), s.name) || len(s.about) < 15 {
			t.Errorf("%s is not told", s.name)
		}
	}
}

type tokens struct{ n int }

func (s *tokens) Token() (*oauth2.Token, error) {
	s.n++
	return &oauth2.Token{AccessToken: strings.Repeat("t", s.n)}, nil
}

// Each new connection to Redis is signed in with the token of its time.
func TestRedisCredentials(t *testing.T) {
	get := credentials(&tokens{})
	for _, want := range []string{"t", "tt"} {
		user, password, err := get(context.Background())
		if err != nil || user != "default" || password != want {
			t.Errorf("%q, %q, %v", user, password, err)
		}
	}
}
