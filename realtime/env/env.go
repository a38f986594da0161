// Package env reads the settings of a program from environment variables. A program lists its settings in one table,
// fills its configuration from it at the start, prints them without secrets, and lists them for -help:
//
//	var settings = env.Settings[config]{
//		{Name: "PORT", Default: "8080", About: "TCP port to listen on",
//			Read: func(c *config, v string) error { return env.Number(&c.port, v, 0, 65535) }},
//		{Name: "API_KEY", Required: true, Secret: true, About: "key of the API",
//			Read: func(c *config, v string) error { c.apiKey = v; return nil }},
//	}
//
// Both services use it.
package env

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Setting is one environment variable that fills a configuration of type C.
type Setting[C any] struct {
	Name     string
	Default  string // used if the variable is not set
	Required bool   // the variable must be set
	Secret   bool   // Print does not show the value
	About    string // for -help and error messages

	// Read checks a value, without surrounding white space, and stores it in c. If the variable is not set, the value is
	// Default.
	Read func(c *C, value string) error
}

// Settings are the settings of a program. They are read in order, so the default of one may depend on an earlier one:
// its Default is then "", and its Read handles "".
type Settings[C any] []Setting[C]

// Read fills c from the environment. getenv is os.Getenv, or a replacement in tests. The error names every problem, one
// per line.
func (ss Settings[C]) Read(c *C, getenv func(string) string) error {
	var errs []error
	for _, s := range ss {
		v := strings.TrimSpace(getenv(s.Name))
		if v == "" && s.Required {
			errs = append(errs, fmt.Errorf("%s is not set: %s", s.Name, s.About))
			continue
		}
		if v == "" {
			v = s.Default
		}
		err := s.Read(c, v)
		if err != nil && v == "" && len(errs) > 0 {
			continue // it depends on a setting that is already in errs
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w (%s)", s.Name, err, s.About))
		}
	}
	return errors.Join(errs...)
}

// Print logs every setting that has a value. Of a secret it logs only that it is set.
func (ss Settings[C]) Print(log *slog.Logger, getenv func(string) string) {
	var attrs []any
	for _, s := range ss {
		v := getenv(s.Name)
		switch {
		case v != "" && s.Secret:
			v = "(set)"
		case v == "":
			v = s.Default
		}
		if v != "" {
			attrs = append(attrs, slog.String(s.Name, v))
		}
	}
	log.Info("settings", slog.Group("env", attrs...))
}

// Usage writes a description of every setting.
func (ss Settings[C]) Usage(w io.Writer) {
	for _, s := range ss {
		note := ""
		switch {
		case s.Required:
			note = " (required)"
		case s.Default != "":
			note = " (default " + s.Default + ")"
		}
		fmt.Fprintf(w, "  %s\n      %s%s\n", s.Name, s.About, note)
	}
}

// Number parses an integer from least to most.
func Number(into *int, v string, least, most int) error {
	n, err := strconv.Atoi(v)
	if err != nil || n < least || n > most {
		return fmt.Errorf("%q is not a number from %d to %d", v, least, most)
	}
	*into = n
	return nil
}

// Duration parses a positive duration that is shorter than an hour.
func Duration(into *time.Duration, v string) error {
	d, err := time.ParseDuration(v)
	if err != nil || d <= 0 || d >= time.Hour {
		return fmt.Errorf("%q is not a duration shorter than 1h, like 45m", v)
	}
	*into = d
	return nil
}

// Bool parses a boolean. "" means def.
func Bool(into *bool, v string, def bool) error {
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

// Origin parses the origin of a web page: http or https, a host and perhaps a port, and nothing else. It strips a
// trailing slash, since a browser's address bar copies one, and the header Origin never has one.
func Origin(into *string, v string) error {
	v = strings.TrimSuffix(v, "/")
	u, err := url.Parse(v)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.Scheme+"://"+u.Host != v {
		return fmt.Errorf("%q is not of the form https://host", v)
	}
	*into = v
	return nil
}

// Origins appends the origins of a comma-separated list.
func Origins(into *[]string, v string) error {
	for _, o := range List(v) {
		if err := Origin(&o, o); err != nil {
			return err
		}
		*into = append(*into, o)
	}
	return nil
}

// URL parses an absolute URL with one of the schemes, without a user, and without a trailing slash.
func URL(into *string, v string, schemes ...string) error {
	u, err := url.Parse(v)
	if err != nil || u.Host == "" || !slices.Contains(schemes, u.Scheme) || u.User != nil || strings.HasSuffix(v, "/") {
		return fmt.Errorf("%q is not a URL that starts with %s:// and has no trailing slash", v,
			strings.Join(schemes, ":// or "))
	}
	*into = v
	return nil
}

// Emulator stores the address of an emulator, and refuses it on Cloud Run, where only the real service may be trusted.
func Emulator(into *string, v string, onCloudRun bool) error {
	if v != "" && onCloudRun {
		return errors.New("must not be set on Cloud Run (K_SERVICE is set)")
	}
	*into = v
	return nil
}

// List splits a comma-separated list. It drops white space around the parts, and empty parts.
func List(v string) []string {
	var out []string
	for part := range strings.SplitSeq(v, ",") {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, part)
		}
	}
	return out
}
