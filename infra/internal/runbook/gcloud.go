package runbook

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Tool says which commands a version of a program has.
type Tool struct {
	Version  string
	Commands map[string]Usage // by the words of the command, such as "run services update"
}

// Usage says how a command is called.
type Usage struct {
	Flags    map[string]bool // by name with its hyphens: whether the flag needs a value
	Required []string        `json:",omitempty"` // flags that must be given
	Regional bool            `json:",omitempty"` // the command has the flag --region
	Least    int             `json:",omitempty"` // number of words after the command
	Most     int             `json:",omitempty"`
}

// noProject are the groups whose commands do not work on a project that --project names.
var noProject = []string{"auth", "billing", "config", "projects"}

// command returns the longest known command that args begin with, and the other arguments.
func (t Tool) command(args []string) (name string, rest []string) {
	for i := range args {
		if words := strings.Join(args[:i+1], " "); t.Commands[words].Flags != nil {
			name, rest = words, args[i+1:]
		}
	}
	return name, rest
}

// checkGcloud checks the arguments of a gcloud command by the recorded usage.
func (t Tool) checkGcloud(args []string) (texts []string) {
	name, rest := t.command(args)
	if name == "" {
		return []string{"unknown command of gcloud " + t.Version}
	}
	usage := t.Commands[name]
	var given []string
	words := 0
	for _, a := range rest {
		flag, value, hasValue := strings.Cut(a, "=")
		if !strings.HasPrefix(a, "-") {
			words++
			continue
		}
		given = append(given, flag)
		needsValue, ok := usage.Flags[flag]
		switch {
		case !ok:
			texts = append(texts, "unknown flag "+flag+" (gcloud "+t.Version+")")
		case needsValue && value == "":
			texts = append(texts, "write "+flag+"=VALUE")
		case !needsValue && hasValue:
			texts = append(texts, flag+" has no value")
		}
	}
	if words < usage.Least || words > usage.Most {
		texts = append(texts, fmt.Sprintf("%d arguments, want %d to %d", words, usage.Least, usage.Most))
	}
	required := slices.Clone(usage.Required)
	if group, _, _ := strings.Cut(name, " "); !slices.Contains(noProject, group) {
		required = append(required, "--project")
	}
	if usage.Regional && !slices.Contains(given, "--global") {
		required = append(required, "--region")
	}
	for _, flag := range required {
		if !slices.Contains(given, flag) {
			texts = append(texts, "it needs "+flag)
		}
	}
	return texts
}

//go:embed gcloud.py
var parseGcloud string

// Parsed is what gcloud's own parser says about a command.
type Parsed struct {
	Error string // "": the command can be parsed
	Name  string // words of the command
	Usage Usage  // with the flags that are given
}

// ParseGcloud lets the installed gcloud parse the arguments of commands. It runs none of them. The version is "" if
// gcloud is not installed together with its Python code.
func ParseGcloud(commands [][]string) (version string, parsed []Parsed, err error) {
	program, err := exec.LookPath("gcloud")
	if err == nil {
		program, err = filepath.EvalSymlinks(program)
	}
	if err != nil {
		return "", nil, nil
	}
	root := filepath.Dir(filepath.Dir(program))
	text, err := os.ReadFile(filepath.Join(root, "VERSION"))
	if err != nil {
		return "", nil, nil
	}
	python := filepath.Join(root, "platform/bundledpythonunix/bin/python3")
	if _, err := os.Stat(python); err != nil {
		python = "python3"
	}
	in, err := json.Marshal(commands)
	if err != nil {
		return "", nil, err
	}
	config, err := os.MkdirTemp("", "gcloud") // the person's own properties must not change the result
	if err != nil {
		return "", nil, err
	}
	defer os.RemoveAll(config)
	cmd := exec.Command(python, "-c", parseGcloud)
	cmd.Env = append(os.Environ(), "PYTHONPATH="+filepath.Join(root, "lib")+":"+filepath.Join(root, "lib/third_party"),
		"CLOUDSDK_CONFIG="+config, "CLOUDSDK_CORE_DISABLE_PROMPTS=1",
		"CLOUDSDK_CORE_CHECK_GCE_METADATA=false") // no requests
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(in), &out, &errs
	if err := cmd.Run(); err != nil {
		return "", nil, fmt.Errorf("gcloud's parser: %w\n%s", err, &errs)
	}
	if err := json.Unmarshal(out.Bytes(), &parsed); err != nil {
		return "", nil, fmt.Errorf("gcloud's parser: %w\n%s", err, &errs)
	}
	return strings.TrimSpace(string(text)), parsed, nil
}
