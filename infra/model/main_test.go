package main

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"strings"
	"testing"

	"github.com/phoenixchat/phoenixchat/infra/model/internal/delivery"
)

func TestCommandReportsAViolationWithItsTrace(t *testing.T) {
	var out bytes.Buffer
	args := []string{"-messages", "1", "-crash", "1", "-mutant", "mark-before-publish", "-first"}
	if err := command(args, &out, io.Discard); !errors.Is(err, errBroken) {
		t.Errorf("the error is %v, want errBroken", err)
	}
	for _, want := range []string{
		"VIOLATION of promise 1: a message is never archived", "A0 sends m0", "FAULT: the instance of B0 crashes",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the report lacks %q:\n%s", want, &out)
		}
	}
}

func TestCommandSearchesInEachWay(t *testing.T) {
	for _, method := range []string{"bfs", "dfs", "walk"} {
		var out bytes.Buffer
		if err := command([]string{"-scenario", "calm", "-search", method, "-walks", "10"}, &out, io.Discard); err != nil {
			t.Errorf("%s: %v", method, err)
		}
		if !strings.Contains(out.String(), "0 violations") {
			t.Errorf("%s: the report is %q", method, &out)
		}
	}
}

func TestHelpListsScenariosMutantsAndFaults(t *testing.T) {
	var out bytes.Buffer
	if err := command([]string{"-help"}, io.Discard, &out); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("the error is %v, want flag.ErrHelp", err)
	}
	var faults delivery.Faults
	for name := range faults.Named() {
		if !strings.Contains(out.String(), "-"+name+" n\n") {
			t.Errorf("the help lacks the fault %s", name)
		}
	}
	for _, s := range delivery.Scenarios {
		if !strings.Contains(out.String(), s.Name+" ") {
			t.Errorf("the help lacks the scenario %s", s.Name)
		}
	}
	for _, info := range delivery.Mutants {
		if !strings.Contains(out.String(), info.Does) {
			t.Errorf("the help lacks the mutant %s", info.Name)
		}
	}
}

func TestWrongArguments(t *testing.T) {
	for _, args := range [][]string{
		{"-scenario", "unknown"}, {"-mutant", "unknown"}, {"-search", "unknown"}, {"-devices", "C0+"},
		{"-messages", "9"}, {"-crash", "many"}, {"-crash", "300"}, {"argument"},
	} {
		if err := command(args, io.Discard, io.Discard); err == nil || errors.Is(err, errBroken) {
			t.Errorf("%q: the error is %v", args, err)
		}
	}
}
