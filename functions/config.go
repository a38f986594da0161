package functions

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strconv"
	"strings"
)

// config is what the functions are told by their environment. All functions
// read the same settings, each uses what it needs.
type config struct {
	onCloudRun bool

	project          string
	database         string
	origins          []string
	apiKey           string
	internalURL      string
	internalAudience string
	topic            string
	deadTopic        string
	deadSubscription string
	signupsHourly    int
	proxies          int
	authEmulator     string
	storeEmulator    string
	pubsubEmulator   string
	logLevel         slog.Level
}

// setting is one variable of the environment.
type setting struct {
	name   string
	def    string // value where it is unset
	needed bool
	secret bool // printed only as set or not
	about  string
	read   func(c *config, value string) error
}

// settings lists them all. A later one may have a default that depends on an earlier one.
var settings = []setting{
	{"PROJECT_ID", "", true, false, "Google Cloud and Firebase project: audience of ID tokens, place of Firestore and Pub/Sub",
		func(c *config, v string) error { c.project = v; return nil }},
	{"FIRESTORE_DATABASE", "(default)", false, false, "Firestore database",
		func(c *config, v string) error { c.database = v; return nil }},
	{"HOSTED_URL", "", true, false, "where people open the chat, as https://host: the origin that may call",
		func(c *config, v string) error { c.origins = []string{v}; return origin(v) }},
	{"EXTRA_ORIGINS", "", false, false, "further origins whose pages may call, comma-separated",
		func(c *config, v string) error {
			for o := range strings.SplitSeq(v, ",") {
				if o = strings.TrimSpace(o); o == "" {
					continue
				}
				if err := origin(o); err != nil {
					return err
				}
				c.origins = append(c.origins, o)
			}
			return nil
		}},
	{"FIREBASE_API_KEY", "", true, true, "browser key of the Firebase project; password resets are sent with it",
		func(c *config, v string) error { c.apiKey = v; return nil }},
	{"INTERNAL_URL", "", true, false, "address of the realtime service, below which its internal routes are, as https://host",
		func(c *config, v string) error { c.internalURL = v; return origin(v) }},
	{"INTERNAL_AUDIENCE", "", false, false, "audience of the tokens shown to it; default: INTERNAL_URL",
		func(c *config, v string) error {
			if c.internalAudience = v; v == "" {
				c.internalAudience = c.internalURL
			}
			return nil
		}},
	{"TOPIC", "delivery-acks", false, false, "Pub/Sub topic to which dead letters are replayed",
		func(c *config, v string) error { c.topic = v; return nil }},
	{"DEAD_LETTER_TOPIC", "dead-letters", false, false, "Pub/Sub topic to which persist gives what it can never save",
		func(c *config, v string) error { c.deadTopic = v; return nil }},
	{"DEAD_LETTER_SUBSCRIPTION", "dead-letters", false, false, "subscription of that topic from which admin collects",
		func(c *config, v string) error { c.deadSubscription = v; return nil }},
	{"SIGNUPS_HOURLY", "30", false, false, "sign-ups that one network address may make in an hour",
		func(c *config, v string) error { return number(&c.signupsHourly, v, 1, 1_000_000) }},
	{"PROXIES", "", false, false, "trusted proxies that append to X-Forwarded-For; default: 1 on Cloud Run, else 0",
		func(c *config, v string) error {
			if v == "" {
				if c.onCloudRun {
					c.proxies = 1
				}
				return nil
			}
			return number(&c.proxies, v, 0, 10)
		}},
	{"FIREBASE_AUTH_EMULATOR_HOST", "", false, false, "host:port of an emulator or stand-in, whose unsigned tokens are believed; refused on Cloud Run",
		func(c *config, v string) error { c.authEmulator = v; return c.notOnCloudRun(v) }},
	{"FIRESTORE_EMULATOR_HOST", "", false, false, "host:port of an emulator; refused on Cloud Run",
		func(c *config, v string) error { c.storeEmulator = v; return c.notOnCloudRun(v) }},
	{"PUBSUB_EMULATOR_HOST", "", false, false, "host:port of an emulator; refused on Cloud Run",
		func(c *config, v string) error { c.pubsubEmulator = v; return c.notOnCloudRun(v) }},
	{"LOG_LEVEL", "info", false, false, "debug, info, warn or error",
		func(c *config, v string) error { return c.logLevel.UnmarshalText([]byte(v)) }},
}

// readConfig reads the environment. The error names every problem, one a line.
func readConfig(getenv func(string) string) (config, error) {
	c := config{onCloudRun: getenv("K_SERVICE") != ""}
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
		if err := s.read(&c, v); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w (%s)", s.name, err, s.about))
		}
	}
	return c, errors.Join(errs...)
}

// print logs every setting that has a value; secrets are not shown.
func (c config) print(log *slog.Logger, getenv func(string) string) {
	var attrs []any
	for _, s := range settings {
		v := getenv(s.name)
		switch {
		case v != "" && s.secret:
			v = "(set)"
		case v == "":
			v = s.def
		}
		if v != "" {
			attrs = append(attrs, slog.String(s.name, v))
		}
	}
	log.Info("settings", slog.Group("env", attrs...))
}

// notOnCloudRun refuses an emulator where real people are.
func (c *config) notOnCloudRun(v string) error {
	if v != "" && c.onCloudRun {
		return errors.New("an emulator is refused on Cloud Run")
	}
	return nil
}

// origin checks an origin: scheme and host, no more.
func origin(v string) error {
	u, err := url.Parse(v)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.Scheme+"://"+u.Host != v {
		return fmt.Errorf("%q is not of the form https://host", v)
	}
	return nil
}

func number(into *int, v string, from, to int) error {
	n, err := strconv.Atoi(v)
	if err != nil || n < from || n > to {
		return fmt.Errorf("%q is no number from %d to %d", v, from, to)
	}
	*into = n
	return nil
}
