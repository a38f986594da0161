package env

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"
)

type config struct {
	name, key, copy string
	limit           int
}

var settings = Settings[config]{
	{Name: "NAME", Required: true, About: "the name", Read: func(c *config, v string) error { c.name = v; return nil }},
	{Name: "KEY", Secret: true, About: "the key", Read: func(c *config, v string) error { c.key = v; return nil }},
	{Name: "LIMIT", Default: "7", About: "the limit",
		Read: func(c *config, v string) error { return Number(&c.limit, v, 1, 9) }},
	{Name: "COPY", About: "default: NAME", Read: func(c *config, v string) error {
		if v == "" {
			v = c.name
		}
		return Origin(&c.copy, v)
	}},
}

func getenv(pairs ...string) func(string) string {
	m := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return func(name string) string { return m[name] }
}

func TestRead(t *testing.T) {
	var c config
	if err := settings.Read(&c, getenv("NAME", " https://a ", "KEY", "k")); err != nil {
		t.Fatal(err)
	}
	if want := (config{name: "https://a", key: "k", copy: "https://a", limit: 7}); c != want {
		t.Errorf("got %+v, want %+v", c, want)
	}
}

func TestReadReportsEveryProblem(t *testing.T) {
	for name, tt := range map[string]struct {
		env  []string
		want string
	}{
		// COPY is not reported, since it depends on NAME.
		"a required setting is missing": {nil, "NAME is not set: the name"},
		"two settings are wrong": {[]string{"NAME", "https://a", "LIMIT", "10", "COPY", "x"},
			`LIMIT: "10" is not a number from 1 to 9 (the limit)` + "\n" +
				`COPY: "x" is not of the form https://host (default: NAME)`},
		"a default depends on a wrong setting": {[]string{"NAME", "x"},
			`COPY: "x" is not of the form https://host (default: NAME)`},
	} {
		var c config
		if err := settings.Read(&c, getenv(tt.env...)); err == nil || err.Error() != tt.want {
			t.Errorf("%s: %v, want %s", name, err, tt.want)
		}
	}
}

func TestPrintHidesSecrets(t *testing.T) {
	var out bytes.Buffer
	settings.Print(slog.New(slog.NewTextHandler(&out, nil)), getenv("NAME", "n", "KEY", "hidden"))
	if got := out.String(); !strings.HasSuffix(got, "env.NAME=n env.KEY=(set) env.LIMIT=7\n") {
		t.Errorf("printed: %s", got)
	}
}

func TestUsage(t *testing.T) {
	var out bytes.Buffer
	settings.Usage(&out)
	want := "  NAME\n      the name (required)\n  KEY\n      the key\n  LIMIT\n      the limit (default 7)\n" +
		"  COPY\n      default: NAME\n"
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", &out, want)
	}
}

func TestOrigin(t *testing.T) {
	for in, want := range map[string]string{
		"https://chat.example.org": "https://chat.example.org", "https://chat.example.org/": "https://chat.example.org",
		"http://localhost:5173": "http://localhost:5173", "https://[::1]:8080/": "https://[::1]:8080",
		"": "", "/": "", "chat.example.org": "", "https://": "", "ftp://x": "", "https://x/y": "", "https://x//": "",
		"https://x?q": "", "https://x#f": "", "https://u@x": "", "*": "",
	} {
		var got string
		if err := Origin(&got, in); (err == nil) != (want != "") || got != want {
			t.Errorf("Origin(%q) is %q, %v; want %q", in, got, err, want)
		}
	}
	var all []string
	if err := Origins(&all, " https://a/ ,, https://b"); err != nil || strings.Join(all, " ") != "https://a https://b" {
		t.Errorf("Origins is %q, %v", all, err)
	}
	if err := Origins(&all, "https://a,x"); err == nil {
		t.Error("Origins accepts x")
	}
}

func TestValues(t *testing.T) {
	var n int
	var d time.Duration
	var b bool
	var s string
	for name, tt := range map[string]struct {
		err   error
		valid bool
	}{
		"Number 1":             {Number(&n, "1", 1, 3), true},
		"Number 3":             {Number(&n, "3", 1, 3), true},
		"Number 4":             {Number(&n, "4", 1, 3), false},
		"Number x":             {Number(&n, "x", 1, 3), false},
		"Duration 59m":         {Duration(&d, "59m"), true},
		"Duration 1h":          {Duration(&d, "1h"), false},
		"Duration 0":           {Duration(&d, "0s"), false},
		"Bool true":            {Bool(&b, "true", false), true},
		"Bool 2":               {Bool(&b, "2", false), false},
		"URL":                  {URL(&s, "wss://x/ws", "ws", "wss"), true},
		"URL scheme":           {URL(&s, "https://x/ws", "ws", "wss"), false},
		"URL trailing slash":   {URL(&s, "wss://x/", "ws", "wss"), false},
		"URL user":             {URL(&s, "wss://u@x", "ws", "wss"), false},
		"URL path only":        {URL(&s, "/ws", "ws", "wss"), false},
		"Emulator":             {Emulator(&s, "h:1", false), true},
		"Emulator Cloud Run":   {Emulator(&s, "h:1", true), false},
		"no Emulator":          {Emulator(&s, "", true), true},
		"Bool without a value": {Bool(&b, "", true), true},
	} {
		if (tt.err == nil) != tt.valid {
			t.Errorf("%s: %v, want valid = %v", name, tt.err, tt.valid)
		}
	}
	if err := Bool(&b, "", true); err != nil || !b {
		t.Errorf("Bool without a value is %v, %v; want the default", b, err)
	}
}
