package functions

import (
	"errors"
	"fmt"
	"log/slog"
	"strconv"

	"github.com/phoenixchat/phoenixchat/functions/api"
	"github.com/phoenixchat/phoenixchat/functions/push"
	"github.com/phoenixchat/phoenixchat/functions/store/storefirestore"
	"github.com/phoenixchat/phoenixchat/realtime/env"
)

// config is the configuration of the functions, from the environment. All functions read the same settings; each uses
// those that it needs.
type config struct {
	onCloudRun bool

	project          string
	database         string
	auditDatabase    string
	origins          []string
	apiKey           string
	internalURL      string
	internalAudience string
	topic            string
	deadTopic        string
	deadSubscription string
	signupsHourly    int
	peopleListed     int
	proxies          int
	placeHeader      string
	prober           string
	region           string
	capPercent       int
	pushServices     push.Services
	pushSecret       string
	notifyTopic      string
	authEmulator     string
	adminFactor      bool
	storeEmulator    string
	pubsubEmulator   string
	logLevel         slog.Level
}

// Values of ADMIN_SECOND_FACTOR.
const (
	factorRequired = "required"
	factorOff      = "off"
)

// settings lists every setting of the functions. Nothing else reads the environment.
var settings = env.Settings[config]{
	{Name: "PROJECT_ID", Required: true,
		About: "Google Cloud and Firebase project: audience of ID tokens, place of Firestore and Pub/Sub",
		Read:  func(c *config, v string) error { c.project = v; return nil }},
	{Name: "FIRESTORE_DATABASE", Default: "(default)", About: "Firestore database",
		Read: func(c *config, v string) error { c.database = v; return nil }},
	{Name: "AUDIT_DATABASE", Default: storefirestore.DefaultAuditDatabase,
		About: "Firestore database of the audit log, which only the admin function may use",
		Read:  func(c *config, v string) error { c.auditDatabase = v; return nil }},
	{Name: "HOSTED_URL", Required: true, About: "public URL of the chat, as https://host: the origin that may call",
		Read: func(c *config, v string) error {
			c.origins = make([]string, 1)
			return env.Origin(&c.origins[0], v)
		}},
	{Name: "EXTRA_ORIGINS", About: "more origins whose pages may call, comma-separated",
		Read: func(c *config, v string) error { return env.Origins(&c.origins, v) }},
	{Name: "FIREBASE_API_KEY", Required: true, Secret: true,
		About: "browser key of the Firebase project; password resets are sent with it",
		Read:  func(c *config, v string) error { c.apiKey = v; return nil }},
	{Name: "INTERNAL_URL", Required: true, About: "URL of the realtime service with the internal routes, as https://host",
		Read: func(c *config, v string) error { return env.Origin(&c.internalURL, v) }},
	{Name: "INTERNAL_AUDIENCE", About: "audience of the tokens for the internal routes; default: INTERNAL_URL",
		Read: func(c *config, v string) error {
			if c.internalAudience = v; v == "" {
				c.internalAudience = c.internalURL
			}
			return nil
		}},
	{Name: "TOPIC", Default: "delivery-acks", About: "Pub/Sub topic to which dead letters are replayed",
		Read: func(c *config, v string) error { c.topic = v; return nil }},
	{Name: "DEAD_LETTER_TOPIC", Default: "dead-letters",
		About: "Pub/Sub topic to which persist publishes data that can never be saved",
		Read:  func(c *config, v string) error { c.deadTopic = v; return nil }},
	{Name: "DEAD_LETTER_SUBSCRIPTION", Default: "dead-letters",
		About: "subscription of that topic from which admin collects dead letters",
		Read:  func(c *config, v string) error { c.deadSubscription = v; return nil }},
	{Name: "SIGNUPS_HOURLY", Default: "30", About: "sign-ups per hour from one network address",
		Read: func(c *config, v string) error { return env.Number(&c.signupsHourly, v, 1, 1_000_000) }},
	{Name: "PEOPLE_LISTED_PER_HOUR", Default: strconv.Itoa(api.DefaultPeopleListed),
		About: "distinct people that lists and searches show one user in an hour",
		Read:  func(c *config, v string) error { return env.Number(&c.peopleListed, v, 1, 1_000_000) }},
	{Name: "PROXIES", About: "trusted proxies that append to X-Forwarded-For; default: 1 on Cloud Run, otherwise 0",
		Read: func(c *config, v string) error {
			if v == "" {
				if c.onCloudRun {
					c.proxies = 1
				}
				return nil
			}
			return env.Number(&c.proxies, v, 0, 10)
		}},
	{Name: "PLACE_HEADER",
		About: "header in which the load balancer sends the place of a client; default: none, and devices have no place",
		Read:  func(c *config, v string) error { c.placeHeader = v; return nil }},
	{Name: "REGION", About: "region of the Cloud Run services that the cost cap switches off",
		Read: func(c *config, v string) error { c.region = v; return nil }},
	{Name: "COST_CAP_PERCENT", Default: "0",
		About: "costs of a month, in percent of its budget, at which the function cap switches the chat off; 0: never",
		Read:  func(c *config, v string) error { return env.Number(&c.capPercent, v, 0, 10_000) }},
	{Name: "PROBER", About: "service account that may sign in as the prober's users; default: none",
		Read: func(c *config, v string) error { c.prober = v; return nil }},
	{Name: "PUSH_SERVICES", Default: push.DefaultServices,
		About: "hosts of the push services to which pushes may be sent, comma-separated; *. stands for any labels",
		Read: func(c *config, v string) (err error) {
			c.pushServices, err = push.ParseServices(v)
			return err
		}},
	{Name: "PUSH_SECRET", Default: "chat-push-key", About: "secret of Secret Manager that keeps the key pair of pushes",
		Read: func(c *config, v string) error { c.pushSecret = v; return nil }},
	{Name: "NOTIFY_TOPIC", Default: "notify",
		About: "Pub/Sub topic to which notify publishes what some devices did not get",
		Read:  func(c *config, v string) error { c.notifyTopic = v; return nil }},
	{Name: "FIREBASE_AUTH_EMULATOR_HOST",
		About: "host:port of an emulator, whose unsigned tokens are trusted; refused on Cloud Run",
		Read:  func(c *config, v string) error { return env.Emulator(&c.authEmulator, v, c.onCloudRun) }},
	{Name: "ADMIN_SECOND_FACTOR", Default: factorRequired,
		About: "whether admins need a second factor: required, or off with FIREBASE_AUTH_EMULATOR_HOST",
		Read: func(c *config, v string) error {
			switch {
			case v != factorRequired && v != factorOff:
				return fmt.Errorf("%q is neither %s nor %s", v, factorRequired, factorOff)
			case v == factorOff && c.authEmulator == "":
				return errors.New("admins of accounts in Google Cloud always need a second factor")
			}
			c.adminFactor = v == factorRequired
			return nil
		}},
	{Name: "FIRESTORE_EMULATOR_HOST", About: "host:port of an emulator; refused on Cloud Run",
		Read: func(c *config, v string) error { return env.Emulator(&c.storeEmulator, v, c.onCloudRun) }},
	{Name: "PUBSUB_EMULATOR_HOST", About: "host:port of an emulator; refused on Cloud Run",
		Read: func(c *config, v string) error { return env.Emulator(&c.pubsubEmulator, v, c.onCloudRun) }},
	{Name: "LOG_LEVEL", Default: "info", About: "debug, info, warn or error",
		Read: func(c *config, v string) error { return c.logLevel.UnmarshalText([]byte(v)) }},
}

// readConfig reads the environment. The error names every problem, one per line.
func readConfig(getenv func(string) string) (config, error) {
	c := config{onCloudRun: getenv("K_SERVICE") != ""}
	err := settings.Read(&c, getenv)
	return c, err
}
