package main

import (
	"bytes"
	"errors"
	"flag"
	"strings"
	"testing"

	"github.com/phoenixchat/phoenixchat/functions/operator"
)

func noEnv(string) string { return "" }

func TestUsage(t *testing.T) {
	for _, args := range [][]string{{"more"}, {"-nonsense"}, {"-project", "p"}} {
		var stderr bytes.Buffer
		err := run(t.Context(), operator.Env{Args: args, Getenv: noEnv, Stderr: &stderr})
		if !errors.Is(err, operator.ErrUsage) || stderr.Len() == 0 {
			t.Errorf("%v: error %v, stderr %q, want ErrUsage and an explanation", args, err, &stderr)
		}
	}
	err := run(t.Context(), operator.Env{Args: []string{"-help"}, Getenv: noEnv, Stderr: new(bytes.Buffer)})
	if !errors.Is(err, flag.ErrHelp) {
		t.Errorf("-help: error %v, want flag.ErrHelp", err)
	}
	err = run(t.Context(), operator.Env{Args: []string{"-data", t.TempDir()}, Getenv: noEnv})
	if err == nil || !strings.Contains(err.Error(), "go run ./infra/local") {
		t.Errorf("without a running chat: error %v", err)
	}
}
