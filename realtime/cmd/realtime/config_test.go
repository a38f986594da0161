package main

import (
	"bytes"
	"context"
	"maps"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/phoenixchat/phoenixchat/realtime/inbox"
	"github.com/phoenixchat/phoenixchat/realtime/logging"
)

// minimal has the settings that are required.
var minimal = map[string]string{
	"PROJECT_ID": "demo-chat", "HOSTED_URL": "https://chat.example.org",
	"API_BASE":         "https://europe-west1-demo-chat.cloudfunctions.net",
	"FIREBASE_API_KEY": "AIzaKey", "REDIS_ADDR": "10.0.0.3:6379",
}

func with(change map[string]string) func(string) string {
	all := maps.Clone(minimal)
	maps.Copy(all, change)
	return func(name string) string { return all[name] }
}

func TestDefaults(t *testing.T) {
	c, err := readConfig(with(nil))
	if err != nil {
		t.Fatal(err)
	}
	if c.port != 8080 || c.realtimeURL != "wss://chat.example.org/ws" || c.topic != "delivery-acks" ||
		c.clientDir != "/client" || c.authDomain != "demo-chat.firebaseapp.com" ||
		c.internalAudience != "https://chat.example.org" || c.maxSockets != 950 ||
		c.ageMin != 45*time.Minute || c.ageMax != 55*time.Minute || c.redisCluster || c.redisIAM || c.redisCA != nil ||
		c.watchedHourly != 250 || c.replicaWait != 0 ||
		c.proxies != 0 || len(c.origins) != 1 || c.origins[0] != "https://chat.example.org" {
		t.Errorf("the defaults are %+v", c)
	}
	if want := (inbox.Limits{}.WithDefaults()); c.limits.WithDefaults() != want {
		t.Errorf("the default limits are %+v, those of package inbox %+v", c.limits, want)
	}
}

// Behind Cloud Run's front end, the address of the connection is that of the front end.
func TestProxies(t *testing.T) {
	for _, tc := range []struct {
		change map[string]string
		want   int
	}{
		{map[string]string{"K_SERVICE": "chat"}, 1},
		{map[string]string{"K_SERVICE": "chat", "PROXIES": "2"}, 2},
		{map[string]string{"PROXIES": "1"}, 1},
	} {
		if c, err := readConfig(with(tc.change)); err != nil || c.proxies != tc.want {
			t.Errorf("%v: %d proxies, %v; want %d", tc.change, c.proxies, err, tc.want)
		}
	}
}

const ca = `-----BEGIN CERTIFICATE-----
MIIBUTCB96ADAgECAgEBMAoGCCqGSM49BAMCMA8xDTALBgNVBAMTBHRlc3QwHhcN
MjYwMTAxMDAwMDAwWhcNMzYwMTAxMDAwMDAwWjAPMQ0wCwYDVQQDEwR0ZXN0MFkw
-----END CERTIFICATE-----`

func TestOriginsMayEndWithASlash(t *testing.T) {
	c, err := readConfig(with(map[string]string{
		"HOSTED_URL": "https://chat.example.org/", "EXTRA_ORIGINS": "https://a.example/, http://localhost:5173",
	}))
	if err != nil {
		t.Fatal(err)
	}
	const want = "https://chat.example.org https://a.example http://localhost:5173"
	if got := strings.Join(c.origins, " "); got != want {
		t.Errorf("origins are %s, want %s", got, want)
	}
	if c.hostedURL != "https://chat.example.org" || c.realtimeURL != "wss://chat.example.org/ws" {
		t.Errorf("hosted URL %s, realtime URL %s; want them without the slash", c.hostedURL, c.realtimeURL)
	}
}

func TestEveryProblemIsReportedAtOnce(t *testing.T) {
	for name, tc := range map[string]struct {
		change map[string]string
		want   []string
	}{
		"nothing is set": {
			map[string]string{
				"PROJECT_ID": "", "HOSTED_URL": "", "API_BASE": "", "FIREBASE_API_KEY": "", "REDIS_ADDR": "",
			},
			[]string{
				"PROJECT_ID is not set", "HOSTED_URL is not set", "API_BASE is not set", "FIREBASE_API_KEY is not set",
				"REDIS_ADDR is not set",
			},
		},
		"everything is wrong": {
			map[string]string{
				"PORT": "http", "HOSTED_URL": "chat.example.org", "API_BASE": "/api", "REALTIME_URL": "https://x/ws",
				"REDIS_ADDR": "redis", "REDIS_CA": "none", "REDIS_CLUSTER": "perhaps", "REDIS_IAM": "2",
				"MAX_SOCKETS": "0", "WATCHED_HOURLY": "0", "PROXIES": "-1",
				"SOCKET_AGE_MIN": "50m", "SOCKET_AGE_MAX": "40m", "LOG_LEVEL": "loud",
				"INTERNAL_CALLERS": "someone", "EXTRA_ORIGINS": "https://a/b",
				"STRANGER_MESSAGES": "0", "STRANGER_BYTES": "49151", "NEW_PEOPLE_PER_DAY": "many",
				"NEW_PEOPLE_UNVERIFIED": "0", "REPLICA_WAIT": "6s",
			},
			[]string{
				"PORT:", "HOSTED_URL:", "API_BASE:", "REALTIME_URL:", "REDIS_ADDR:", "REDIS_CA:", "REDIS_CLUSTER:",
				"REDIS_IAM:", "MAX_SOCKETS:", "WATCHED_HOURLY:", "PROXIES:", "SOCKET_AGE_MAX:", "LOG_LEVEL:",
				"INTERNAL_CALLERS:", "EXTRA_ORIGINS:", "STRANGER_MESSAGES:", "STRANGER_BYTES:", "NEW_PEOPLE_PER_DAY:",
				"NEW_PEOPLE_UNVERIFIED:", "REPLICA_WAIT:",
			},
		},
		"a socket may get as old as Cloud Run allows": {
			map[string]string{"SOCKET_AGE_MAX": "60m"}, []string{"SOCKET_AGE_MAX:"},
		},
		"the certificate is broken": {map[string]string{"REDIS_CA": ca}, []string{"REDIS_CA:"}},
		"emulators on Cloud Run": {
			map[string]string{
				"K_SERVICE": "chat", "FIREBASE_AUTH_EMULATOR_HOST": "h:1", "FIRESTORE_EMULATOR_HOST": "h:2",
				"PUBSUB_EMULATOR_HOST": "h:3",
			},
			[]string{"FIREBASE_AUTH_EMULATOR_HOST:", "FIRESTORE_EMULATOR_HOST:", "PUBSUB_EMULATOR_HOST:"},
		},
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
				t.Errorf("the error has %d lines, want %d:\n%v", got, len(tc.want), err)
			}
		})
	}
}

func TestEmulatorsAreAllowedElsewhere(t *testing.T) {
	c, err := readConfig(with(map[string]string{"FIREBASE_AUTH_EMULATOR_HOST": "127.0.0.1:9099"}))
	if err != nil {
		t.Fatal(err)
	}
	if got := c.client().AuthEmulatorURL; got != "http://127.0.0.1:9099" {
		t.Errorf("the client gets the emulator %q", got)
	}
}

func TestSecretsAreNotPrinted(t *testing.T) {
	var out bytes.Buffer
	settings.Print(logging.New(&out, logging.Options{JSON: true}), with(map[string]string{"REDIS_CA": ca}))
	if strings.Contains(out.String(), "AIzaKey") || strings.Contains(out.String(), "BEGIN") {
		t.Errorf("printed: %s", out.String())
	}
	for _, want := range []string{`"FIREBASE_API_KEY":"(set)"`, `"PROJECT_ID":"demo-chat"`, `"TOPIC":"delivery-acks"`} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%s is missing in %s", want, out.String())
		}
	}
}

func TestUsageDescribesEverySetting(t *testing.T) {
	var out bytes.Buffer
	usage(&out)
	for _, s := range settings {
		if !strings.Contains(out.String(), s.Name) || len(s.About) < 15 {
			t.Errorf("%s is not described", s.Name)
		}
	}
}

type tokens struct{ n int }

func (s *tokens) Token() (*oauth2.Token, error) {
	s.n++
	return &oauth2.Token{AccessToken: strings.Repeat("t", s.n)}, nil
}

// Every new connection to Redis signs in with the token that is current at that time.
func TestRedisCredentials(t *testing.T) {
	get := credentials(&tokens{})
	for _, want := range []string{"t", "tt"} {
		user, password, err := get(context.Background())
		if err != nil || user != "default" || password != want {
			t.Errorf("credentials are %q, %q, %v; want default, %q", user, password, err, want)
		}
	}
}

// The settings of sends reach the inboxes.
func TestSettingsOfSendsReachTheInboxes(t *testing.T) {
	getenv := with(map[string]string{"REDIS_ADDR": "127.0.0.1:1", "REPLICA_WAIT": "150ms", "NEW_PEOPLE_PER_DAY": "7",
		"NEW_PEOPLE_UNVERIFIED":   "2",
		"FIRESTORE_EMULATOR_HOST": "127.0.0.1:1", "PUBSUB_EMULATOR_HOST": "127.0.0.1:1"})
	for _, name := range []string{"FIRESTORE_EMULATOR_HOST", "PUBSUB_EMULATOR_HOST"} {
		t.Setenv(name, getenv(name)) // the client libraries read them
	}
	c, err := readConfig(getenv)
	if err != nil {
		t.Fatal(err)
	}
	p, err := build(t.Context(), c, getenv)
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	if o := p.deps.Inboxes; o.ReplicaWait != 150*time.Millisecond || o.Limits.NewPeople != 7 ||
		o.Limits.NewPeopleUnverified != 2 {
		t.Errorf("the options of the inboxes are %+v", o)
	}
}
