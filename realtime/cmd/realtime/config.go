package main

import (
	"cmp"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/env"
	"github.com/phoenixchat/phoenixchat/realtime/inbox"
	"github.com/phoenixchat/phoenixchat/realtime/server"
)

// config is the configuration of this program, from the environment. settings describes each field.
type config struct {
	onCloudRun bool   // K_SERVICE is set
	revision   string // K_REVISION

	port             int
	project          string
	hostedURL        string
	origins          []string
	realtimeURL      string
	apiBase          string
	firebaseAPIKey   string
	authDomain       string
	authEmulator     string
	storeEmulator    string // only checked: the client library reads the variable itself
	pubsubEmulator   string // only checked, likewise
	redisAddrs       []string
	redisCA          *x509.CertPool
	redisCluster     bool
	redisIAM         bool
	replicaWait      time.Duration
	topic            string
	notifyTopic      string
	clientDir        string
	internalCallers  []string
	internalAudience string
	maxSockets       int
	watchedHourly    int
	proxies          int
	placeHeader      string
	limits           inbox.Limits
	ageMin, ageMax   time.Duration
	logLevel         slog.Level
}

// settings lists every setting of this program. Nothing else reads the environment, except the client libraries of
// Firestore and Pub/Sub, which read the addresses of their emulators.
var settings = env.Settings[config]{
	{Name: "PORT", Default: "8080", About: "TCP port to listen on; Cloud Run sets it",
		Read: func(c *config, v string) error { return env.Number(&c.port, v, 0, 65535) }},
	{Name: "PROJECT_ID", Required: true,
		About: "Google Cloud and Firebase project: audience of ID tokens, place of Firestore and Pub/Sub",
		Read:  func(c *config, v string) error { c.project = v; return nil }},
	{Name: "HOSTED_URL", Required: true, About: "public URL of the chat, as https://host",
		Read: func(c *config, v string) error { return env.Origin(&c.hostedURL, v) }},
	{Name: "EXTRA_ORIGINS", About: "more origins whose pages may connect, comma-separated; HOSTED_URL always may",
		Read: func(c *config, v string) error {
			c.origins = []string{c.hostedURL}
			return env.Origins(&c.origins, v)
		}},
	{Name: "REALTIME_URL", About: "WebSocket URL that clients use; default: /ws at HOSTED_URL",
		Read: func(c *config, v string) error {
			if v == "" && c.hostedURL != "" {
				v = "ws" + strings.TrimPrefix(c.hostedURL, "http") + "/ws"
			}
			return env.URL(&c.realtimeURL, v, "ws", "wss")
		}},
	{Name: "API_BASE", Required: true, About: "URL of the HTTP functions, without a trailing slash",
		Read: func(c *config, v string) error { return env.URL(&c.apiBase, v, "http", "https") }},
	{Name: "FIREBASE_API_KEY", Required: true, Secret: true, About: "browser key of the Firebase project",
		Read: func(c *config, v string) error { c.firebaseAPIKey = v; return nil }},
	{Name: "FIREBASE_AUTH_DOMAIN", About: "domain of Firebase Auth; default: <project>.firebaseapp.com",
		Read: func(c *config, v string) error {
			if c.authDomain = v; v == "" {
				c.authDomain = c.project + ".firebaseapp.com"
			}
			return nil
		}},
	{Name: "FIREBASE_AUTH_EMULATOR_HOST",
		About: "host:port of an emulator, whose unsigned tokens are trusted; refused on Cloud Run",
		Read:  func(c *config, v string) error { return env.Emulator(&c.authEmulator, v, c.onCloudRun) }},
	{Name: "FIRESTORE_EMULATOR_HOST",
		About: "host:port of an emulator, which the client library reads; refused on Cloud Run",
		Read:  func(c *config, v string) error { return env.Emulator(&c.storeEmulator, v, c.onCloudRun) }},
	{Name: "PUBSUB_EMULATOR_HOST",
		About: "host:port of an emulator, which the client library reads; refused on Cloud Run",
		Read:  func(c *config, v string) error { return env.Emulator(&c.pubsubEmulator, v, c.onCloudRun) }},
	{Name: "REDIS_ADDR", Required: true, About: "host:port of Redis, or several, comma-separated",
		Read: func(c *config, v string) error {
			c.redisAddrs = env.List(v)
			for _, a := range c.redisAddrs {
				if _, _, err := net.SplitHostPort(a); err != nil {
					return fmt.Errorf("%q is not host:port", a)
				}
			}
			return nil
		}},
	{Name: "REDIS_CA", Secret: true,
		About: "PEM certificates of the certificate authorities of Redis; if set, connections use TLS",
		Read: func(c *config, v string) error {
			if v == "" {
				return nil
			}
			c.redisCA = x509.NewCertPool()
			if !c.redisCA.AppendCertsFromPEM([]byte(v)) {
				return errors.New("contains no PEM certificate")
			}
			return nil
		}},
	{Name: "REDIS_CLUSTER",
		About: "true: Redis is a cluster; default: whether REDIS_CA is set, as for Memorystore for Redis Cluster",
		Read:  func(c *config, v string) error { return env.Bool(&c.redisCluster, v, c.redisCA != nil) }},
	{Name: "REDIS_IAM",
		About: "true: sign in to Redis with a token of this service's account; default: whether REDIS_CA is set",
		Read:  func(c *config, v string) error { return env.Bool(&c.redisIAM, v, c.redisCA != nil) }},
	{Name: "REPLICA_WAIT", Default: "0s",
		About: "how long a send waits until a replica of Redis has the message, at most 5s; 0s: it does not wait",
		Read: func(c *config, v string) (err error) {
			c.replicaWait, err = time.ParseDuration(v)
			if err != nil || c.replicaWait < 0 || c.replicaWait > 5*time.Second {
				return fmt.Errorf("%q is not a duration from 0s to 5s", v)
			}
			return nil
		}},
	{Name: "PLACE_HEADER",
		About: "header in which the load balancer sends the place of a client; default: none, and devices have no place",
		Read:  func(c *config, v string) error { c.placeHeader = v; return nil }},
	{Name: "TOPIC", Default: "delivery-acks", About: "Pub/Sub topic for delivered messages",
		Read: func(c *config, v string) error { c.topic = v; return nil }},
	{Name: "NOTIFY_TOPIC", Default: "notify", About: "Pub/Sub topic for messages to people who are away",
		Read: func(c *config, v string) error { c.notifyTopic = v; return nil }},
	{Name: "CLIENT_DIR", Default: "/client", About: "folder of the built web client",
		Read: func(c *config, v string) error { c.clientDir = v; return nil }},
	{Name: "INTERNAL_CALLERS",
		About: "service accounts that may call /internal/, comma-separated; if not set, the routes do not exist",
		Read: func(c *config, v string) error {
			c.internalCallers = env.List(v)
			for _, a := range c.internalCallers {
				if !strings.Contains(a, "@") {
					return fmt.Errorf("%q is not an email address", a)
				}
			}
			return nil
		}},
	{Name: "INTERNAL_AUDIENCE", About: "audience of the tokens of these calls; default: HOSTED_URL",
		Read: func(c *config, v string) error {
			if c.internalAudience = v; v == "" {
				c.internalAudience = c.hostedURL
			}
			return nil
		}},
	{Name: "MAX_SOCKETS", Default: "950",
		About: "open sockets on this instance; pages need some of Cloud Run's 1,000 requests",
		Read:  func(c *config, v string) error { return env.Number(&c.maxSockets, v, 1, 1_000_000) }},
	{Name: "WATCHED_HOURLY", Default: "250",
		About: "people whose presence one user may watch in an hour on this instance",
		Read:  func(c *config, v string) error { return env.Number(&c.watchedHourly, v, 1, 1_000_000) }},
	{Name: "PROXIES", About: "trusted proxies that append to X-Forwarded-For; default: 1 on Cloud Run, otherwise 0",
		Read: func(c *config, v string) error {
			if v == "" && c.onCloudRun {
				v = "1"
			}
			return env.Number(&c.proxies, cmp.Or(v, "0"), 0, 10)
		}},
	{Name: "STRANGER_MESSAGES", Default: "5",
		About: "messages of one sender that may wait for a person who has never answered",
		Read:  func(c *config, v string) error { return env.Number(&c.limits.StrangerMessages, v, 1, 1_000) }},
	{Name: "STRANGER_BYTES", Default: "65536", About: "and their bytes; at least one message of maximum size",
		Read: func(c *config, v string) error {
			return env.Number(&c.limits.StrangerBytes, v, inbox.MaxEvent, 512<<10)
		}},
	{Name: "NEW_PEOPLE_PER_DAY", Default: "20",
		About: "people to whom one sender may write on one day for the first time",
		Read:  func(c *config, v string) error { return env.Number(&c.limits.NewPeople, v, 1, 10_000) }},
	{Name: "NEW_PEOPLE_UNVERIFIED", Default: "3",
		About: "the same before the sender has confirmed the address of the account; at most NEW_PEOPLE_PER_DAY applies",
		Read:  func(c *config, v string) error { return env.Number(&c.limits.NewPeopleUnverified, v, 1, 10_000) }},
	{Name: "SOCKET_AGE_MIN", Default: "45m",
		About: "a socket is asked to move at a random age from SOCKET_AGE_MIN to SOCKET_AGE_MAX",
		Read:  func(c *config, v string) error { return env.Duration(&c.ageMin, v) }},
	{Name: "SOCKET_AGE_MAX", Default: "55m", About: "see SOCKET_AGE_MIN; Cloud Run ends a socket at 60 min",
		Read: func(c *config, v string) error {
			if err := env.Duration(&c.ageMax, v); err != nil {
				return err
			}
			if c.ageMax < c.ageMin {
				return errors.New("is less than SOCKET_AGE_MIN")
			}
			return nil
		}},
	{Name: "LOG_LEVEL", Default: "info", About: "debug, info, warn or error",
		Read: func(c *config, v string) error { return c.logLevel.UnmarshalText([]byte(v)) }},
}

// readConfig reads the environment. The error names every problem, one per line.
func readConfig(getenv func(string) string) (config, error) {
	c := config{onCloudRun: getenv("K_SERVICE") != "", revision: getenv("K_REVISION")}
	err := settings.Read(&c, getenv)
	return c, err
}

// client returns the configuration of the web client.
func (c config) client() server.ClientConfig {
	cc := server.ClientConfig{APIBase: c.apiBase, RealtimeURL: c.realtimeURL,
		Firebase: server.FirebaseConfig{APIKey: c.firebaseAPIKey, ProjectID: c.project, AuthDomain: c.authDomain}}
	if c.authEmulator != "" {
		cc.AuthEmulatorURL = "http://" + c.authEmulator
	}
	return cc
}
