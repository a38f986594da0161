package functions

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

func getenv(pairs ...string) func(string) string {
	m := map[string]string{
		"PROJECT_ID": "p", "HOSTED_URL": "https://chat.example.org", "FIREBASE_API_KEY": "hidden-key",
		"INTERNAL_URL": "https://rt.run.app",
	}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return func(name string) string { return m[name] }
}

func TestConfig(t *testing.T) {
	c, err := readConfig(getenv("EXTRA_ORIGINS", " https://a.example , http://localhost:5173,"))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Join(c.origins, " ") != "https://chat.example.org https://a.example http://localhost:5173" ||
		c.internalAudience != "https://rt.run.app" || c.proxies != 0 || c.signupsHourly != 30 || c.peopleListed != 500 ||
		c.topic != "delivery-acks" || c.deadTopic != "dead-letters" || c.database != "(default)" {
		t.Errorf("the settings are %+v", c)
	}
	c, err = readConfig(getenv("K_SERVICE", "signup", "INTERNAL_AUDIENCE", "aud"))
	if err != nil || c.proxies != 1 || c.internalAudience != "aud" {
		t.Errorf("on Cloud Run the settings are %+v, %v", c, err)
	}
	c, err = readConfig(getenv("K_SERVICE", "signup", "PROXIES", "0"))
	if err != nil || c.proxies != 0 {
		t.Errorf("with PROXIES=0 the settings are %+v, %v", c, err)
	}
	for _, tt := range []struct {
		factor, emulator string
		want             bool
	}{{"", "", true}, {"required", "", true}, {"", "x:1", true}, {"required", "x:1", true}, {"off", "x:1", false}} {
		c, err := readConfig(getenv("ADMIN_SECOND_FACTOR", tt.factor, "FIREBASE_AUTH_EMULATOR_HOST", tt.emulator))
		if err != nil || c.adminFactor != tt.want {
			t.Errorf("with ADMIN_SECOND_FACTOR=%q and the emulator %q, admins need a factor: %v (%v)", tt.factor, tt.emulator,
				c.adminFactor, err)
		}
	}
	var log bytes.Buffer
	settings.Print(slog.New(slog.NewTextHandler(&log, nil)), getenv())
	if strings.Contains(log.String(), "hidden-key") || !strings.Contains(log.String(), "env.FIREBASE_API_KEY=(set)") ||
		!strings.Contains(log.String(), "env.TOPIC=delivery-acks") {
		t.Errorf("printed: %s", &log)
	}
}

func TestConfigRefuses(t *testing.T) {
	for _, tt := range [][]string{
		{"PROJECT_ID", ""}, {"HOSTED_URL", ""}, {"HOSTED_URL", "chat.example.org"},
		{"HOSTED_URL", "https://chat.example.org/x"}, {"HOSTED_URL", "https://chat.example.org//"},
		{"HOSTED_URL", "ftp://x"}, {"EXTRA_ORIGINS", "https://ok.example,*"}, {"FIREBASE_API_KEY", ""},
		{"INTERNAL_URL", ""}, {"INTERNAL_URL", "https://x/y"},
		{"SIGNUPS_HOURLY", "0"}, {"SIGNUPS_HOURLY", "many"}, {"PEOPLE_LISTED_PER_HOUR", "0"},
		{"PROXIES", "-1"}, {"LOG_LEVEL", "loud"},
		{"ADMIN_SECOND_FACTOR", "off"}, {"ADMIN_SECOND_FACTOR", "off", "K_SERVICE", "s"},
		{"ADMIN_SECOND_FACTOR", "off", "K_SERVICE", "s", "FIREBASE_AUTH_EMULATOR_HOST", "x:1"},
		{"ADMIN_SECOND_FACTOR", "no", "FIREBASE_AUTH_EMULATOR_HOST", "x:1"},
		{"FIREBASE_AUTH_EMULATOR_HOST", "x:1", "K_SERVICE", "s"}, {"FIRESTORE_EMULATOR_HOST", "x:1", "K_SERVICE", "s"},
		{"PUBSUB_EMULATOR_HOST", "x:1", "K_SERVICE", "s"},
	} {
		_, err := readConfig(getenv(tt...))
		if err == nil || !strings.Contains(err.Error(), tt[0]) {
			t.Errorf("with %v: %v, want an error that names the setting", tt, err)
		}
	}
	_, err := readConfig(func(string) string { return "" })
	for _, name := range []string{"PROJECT_ID", "HOSTED_URL", "FIREBASE_API_KEY", "INTERNAL_URL"} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("with nothing set, the error does not name %s: %v", name, err)
		}
	}
}

func TestOriginsMayEndWithASlash(t *testing.T) {
	c, err := readConfig(getenv("HOSTED_URL", "https://chat.example.org/", "EXTRA_ORIGINS", "https://a.example/",
		"INTERNAL_URL", "https://rt.run.app/"))
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Join(append(c.origins, c.internalURL, c.internalAudience), " ")
	want := "https://chat.example.org https://a.example https://rt.run.app https://rt.run.app"
	if got != want {
		t.Errorf("origins, internal URL and audience are %s, want %s", got, want)
	}
}
