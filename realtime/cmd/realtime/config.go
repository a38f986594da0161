package main

import (
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/server"
)

// config is everything that this program can be told, from the environment.
// settings below says what each is for, and is the only place that names them.
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
	redisAddrs       []string
	redisCA          *x509.CertPool
	redisCluster     bool
	redisIAM         bool
	topic            string
	clientDir        string
	internalCallers  []string
	internalAudience string
	maxSockets       int
	ageMin, ageMax   time.Duration
	logLevel         slog.Level
}

// setting is one variable of the environment.
type setting struct {
	name   string
	def    string // value where it is unset; "" with required: it must be set
	needed bool
	secret bool // printed only as set or not
	about  string
	read   func(c *config, value string) error
}

// settings lists them all. A later one may have a default that depends on an
// earlier one: then def is "" and read is given "".
var settings = []setting{
	{"PORT", "8080", false, false, "TCP port to listen on; Cloud Run sets it",
		func(c *config, v string) error { return number(&c.port, v, 0, 65535) }},
	{"PROJECT_ID", "", true, false, "Google Cloud and Firebase project: audience of ID tokens, place of Firestore and Pub/Sub",
		func(c *config, v string) error { c.project = v; return nil }},
	{"HOSTED_URL", "", true, false, "where people open the chat, as https://host",
		func(c *config, v string) error { return origin(&c.hostedURL, v) }},
	{"EXTRA_ORIGINS", "", false, false, "further origins whose pages may connect, comma-separated; the hosted one always may",
		func(c *config, v string) error {
			c.origins = []string{c.hostedURL}
			for _, o := range list(v) {
				if err := origin(&o, o); err != nil {
					return err
				}
				c.origins = append(c.origins, o)
			}
			return nil
		}},
	{"REALTIME_URL", "", false, false, "WebSocket URL that clients use; default: /ws at HOSTED_URL",
		func(c *config, v string) error {
			c.realtimeURL = v
			if v == "" && c.hostedURL != "" {
				c.realtimeURL = "ws" + strings.TrimPrefix(c.hostedURL, "http") + "/ws"
			}
			return absolute(c.realtimeURL, "ws", "wss")
		}},
	{"API_BASE", "", true, false, "URL of the HTTP functions, without a slash at its end",
		func(c *config, v string) error { c.apiBase = v; return absolute(v, "http", "https") }},
	{"FIREBASE_API_KEY", "", true, true, "browser key of the Firebase project",
		func(c *config, v string) error { c.firebaseAPIKey = v; return nil }},
	{"FIREBASE_AUTH_DOMAIN", "", false, false, "default: <project>.firebaseapp.com",
		func(c *config, v string) error {
			if c.authDomain = v; v == "" {
				c.authDomain = c.project + ".firebaseapp.com"
			}
			return nil
		}},
	{"FIREBASE_AUTH_EMULATOR_HOST", "", false, false, "host:port of an emulator or stand-in, whose unsigned tokens are believed; refused on Cloud Run",
		func(c *config, v string) error { c.authEmulator = v; return notOnCloudRun(c, v) }},
	{"FIRESTORE_EMULATOR_HOST", "", false, false, "host:port of an emulator, read by its library; refused on Cloud Run", notOnCloudRun},
	{"PUBSUB_EMULATOR_HOST", "", false, false, "host:port of an emulator, read by its library; refused on Cloud Run", notOnCloudRun},
	{"REDIS_ADDR", "", true, false, "host:port of Redis, or several, comma-separated",
		func(c *config, v string) error {
			c.redisAddrs = list(v)
			for _, a := range c.redisAddrs {
				if _, _, err := net.SplitHostPort(a); err != nil {
					return fmt.Errorf("%q is not host:port", a)
				}
			}
			return nil
		}},
	{"REDIS_CA", "", false, true, "PEM certificates of the authorities of Redis; with it connections are encrypted",
		func(c *config, v string) error {
			if v == "" {
				return nil
			}
			c.redisCA = x509.NewCertPool()
			if !c.redisCA.AppendCertsFromPEM([]byte(v)) {
				return errors.New("has no PEM certificate")
			}
			return nil
		}},
	{"REDIS_CLUSTER", "", false, false, "true: Redis is a cluster; default: whether REDIS_CA is set, as for Memorystore for Redis Cluster",
		func(c *config, v string) error { return boolean(&c.redisCluster, v, c.redisCA != nil) }},
	{"REDIS_IAM", "", false, false, "true: sign in to Redis with a token of this service's account; default: whether REDIS_CA is set",
		func(c *config, v string) error { return boolean(&c.redisIAM, v, c.redisCA != nil) }},
	{"TOPIC", "delivery-acks", false, false, "Pub/Sub topic for what was delivered",
		func(c *config, v string) error { c.topic = v; return nil }},
	{"CLIENT_DIR", "/client", false, false, "folder of the built web client",
		func(c *config, v string) error { c.clientDir = v; return nil }},
	{"INTERNAL_CALLERS", "", false, false, "service accounts that may call /internal/, comma-separated; none: the routes do not exist",
		func(c *config, v string) error {
			c.internalCallers = list(v)
			for _, a := range c.internalCallers {
				if !strings.Contains(a, "@") {
					return fmt.Errorf("%q is no e-mail address", a)
				}
			}
			return nil
		}},
	{"INTERNAL_AUDIENCE", "", false, false, "audience of the tokens of those calls; default: HOSTED_URL",
		func(c *config, v string) error {
			if c.internalAudience = v; v == "" {
				c.internalAudience = c.hostedURL
			}
			return nil
		}},
	{"MAX_SOCKETS", "950", false, false, "open sockets on this instance; pages need some of Cloud Run's 1,000 requests",
		func(c *config, v string) error { return number(&c.maxSockets, v, 1, 1_000_000) }},
	{"SOCKET_AGE_MIN", "45m", false, false, "a socket is asked to move at a random age between this",
		func(c *config, v string) error { return duration(&c.ageMin, v) }},
	{"SOCKET_AGE_MAX", "55m", false, false, "and this; Cloud Run ends it at 60 min",
		func(c *config, v string) error {
			if err := duration(&c.ageMax, v); err != nil {
				return err
			}
			if c.ageMax < c.ageMin {
				return errors.New("is less than SOCKET_AGE_MIN")
			}
			return nil
		}},
	{"LOG_LEVEL", "info", false, false, "debug, info, warn or error",
		func(c *config, v string) error { return c.logLevel.UnmarshalText([]byte(v)) }},
}

// readConfig reads the environment. The error names every problem, one a line.
func readConfig(getenv func(string) string) (config, error) {
	c := config{onCloudRun: getenv("K_SERVICE") != "", revision: getenv("K_REVISION")}
	var errs []error
	for _, s := range settings {
		v := strings.TrimSpace(getenv(s.name))
		if v == "" && s.needed {
			errs = append(errs, fmt.Errorf("%s is not set: %s", s.name, s.about))
			continue
		}
		if v == "" {
			v = s.def
		}
		if err := s.read(&c, v); err != nil && !(v == "" && len(errs) > 0) { // what it depends on is named already
			errs = append(errs, fmt.Errorf("%s: %w (%s)", s.name, err, s.about))
		}
	}
	return c, errors.Join(errs...)
}

// print logs every setting and whether it is set; secrets are not shown.
func (c config) print(log *slog.Logger, getenv func(string) string) {
	var attrs []any
	for _, s := range settings {
		v, set := getenv(s.name), getenv(s.name) != ""
		switch {
		case set && s.secret:
			v = "(set)"
		case !set && s.def != "":
			v = s.def
		case !set:
			continue
		}
		attrs = append(attrs, slog.String(s.name, v))
	}
	log.Info("settings", slog.Group("env", attrs...))
}

// client returns what the web client must know.
func (c config) client() server.ClientConfig {
	cc := server.ClientConfig{APIBase: c.apiBase, RealtimeURL: c.realtimeURL,
		Firebase: server.FirebaseConfig{APIKey: c.firebaseAPIKey, ProjectID: c.project, AuthDomain: c.authDomain}}
	if c.authEmulator != "" {
		cc.AuthEmulatorURL = "http://" + c.authEmulator
	}
	return cc
}

// notOnCloudRun refuses an emulator where only the real thing may be believed.
func notOnCloudRun(c *config, v string) error {
	if v != "" && c.onCloudRun {
		return errors.New("must not be set on Cloud Run (K_SERVICE is set)")
	}
	return nil
}

func number(into *int, v string, least, most int) error {
	n, err := strconv.Atoi(v)
	if err != nil || n < least || n > most {
		return fmt.Errorf("%q is no number between %d and %d", v, least, most)
	}
	*into = n
	return nil
}

func duration(into *time.Duration, v string) error {
	d, err := time.ParseDuration(v)
	if err != nil || d <= 0 || d >= time.Hour {
		return fmt.Errorf("%q is no duration below 1h, like 45m", v)
	}
	*into = d
	return nil
}

func boolean(into *bool, v string, def bool) error {
	if v == "" {
		*into = def
		return nil
	}
	b, err := strconv.ParseBool(v)
	if err != nil {
		return fmt.Errorf("%q is neither true nor false", v)
	}
	*into = b
	return nil
}

// origin reads scheme://host, with or without a slash at its end.
func origin(into *string, v string) error {
	v = strings.TrimSuffix(v, "/")
	if err := absolute(v, "http", "https"); err != nil {
		return err
	}
	if u, err := url.Parse(v); err != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != "" {
		return fmt.Errorf("%q has more than a scheme and a host", v)
	}
	*into = v
	return nil
}

func absolute(v string, schemes ...string) error {
	u, err := url.Parse(v)
	if err != nil || u.Host == "" || !slices.Contains(schemes, u.Scheme) || u.User != nil || strings.HasSuffix(v, "/") {
		return fmt.Errorf("%q is no %s URL without a slash at its end", v, schemes[len(schemes)-1])
	}
	return nil
}

// list reads values separated by commas.
func list(v string) []string {
	var out []string
	for part := range strings.SplitSeq(v, ",") {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, part)
		}
	}
	return out
}
