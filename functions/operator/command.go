package operator

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"os/user"
)

// Env is the environment of a command, which tests replace.
type Env struct {
	Args   []string // without the name of the command
	Getenv func(string) string
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer

	Terminal bool // a person can answer questions on Stdin
}

// ErrUsage means that a command was called wrongly and has already said so on Stderr.
var ErrUsage = errors.New("usage")

// Main runs a command in the process's environment and ends the process: with status 2 after ErrUsage, with status 1
// after any other error, whose text it prints. An interrupt ends the context of run.
func Main(run func(context.Context, Env) error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := run(ctx, Env{Args: os.Args[1:], Getenv: os.Getenv, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		Terminal: isTerminal(os.Stdin)})
	switch {
	case errors.Is(err, flag.ErrHelp):
	case errors.Is(err, ErrUsage):
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// isTerminal reports whether f is a character device: a terminal, or a device such as /dev/null, which answers every
// question with the end of the file.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// Parse parses the arguments. Its error is flag.ErrHelp, after -help, or ErrUsage.
func (e Env) Parse(f *flag.FlagSet) error {
	f.SetOutput(e.Stderr)
	err := f.Parse(e.Args)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		return ErrUsage
	}
	return err
}

// Target is the chat that carries out an order: the one that is running on this machine, or one on Google Cloud.
type Target struct {
	Project  string // on Google Cloud; "": the chat that is running on this machine
	Database string // of Firestore; "": "(default)"; the audit log has a database of its own
	Data     string // data folder of the chat on this machine
}

// AddFlags adds the flags that choose the target.
func (t *Target) AddFlags(f *flag.FlagSet) {
	f.StringVar(&t.Project, "project", "",
		"Google Cloud `project` of the chat (default: the chat that is running on this machine)")
	f.StringVar(&t.Database, "database", "", "Firestore `database` (default: \"(default)\")")
	f.StringVar(&t.Data, "data", ".local", "data `folder` of the chat that is running on this machine")
}

// Give sends an order to the chat on this machine, or calls onCloud to carry it out on Google Cloud. It prints the
// answer. The text of its error is for people.
func (t Target) Give(ctx context.Context, env Env, path string, order any,
	onCloud func(context.Context) (string, error)) error {
	answer, err := t.Ask(ctx, path, order, onCloud)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(env.Stdout, answer)
	return err
}

// Ask is Give, but returns the answer.
func (t Target) Ask(ctx context.Context, path string, order any,
	onCloud func(context.Context) (string, error)) (string, error) {
	if t.Project == "" {
		answer, err := Send(ctx, t.Data, path, order)
		if errors.Is(err, ErrNotRunning) {
			return "", Failure{Text: "No chat is running with the data folder " + t.Data + ".\n" +
				"Start it in another terminal (go run ./infra/local), or name a Google Cloud project with -project.", Cause: err}
		}
		return answer, err
	}
	answer, err := onCloud(ctx)
	var explained Failure
	if err != nil && !errors.As(err, &explained) {
		// The cause as well: the person who runs the command can do something about it.
		return "", Failure{Text: Explain(err) + "\n(" + err.Error() + ")", Cause: err}
	}
	return answer, err
}

// Failure is an error that is shown to people as it is: Text consists of whole sentences.
type Failure struct {
	Text  string
	Cause error
}

// Error implements error.
func (f Failure) Error() string { return f.Text }

// Unwrap returns the cause.
func (f Failure) Unwrap() error { return f.Cause }

// Unreachable is the Failure of a command that could not connect to a service.
func Unreachable(service string, cause error) Failure {
	return Failure{Text: service + " cannot be reached: " + cause.Error(), Cause: cause}
}

// Author names the person who runs the command, for the audit log.
func Author() string {
	name := "unknown"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if host, err := os.Hostname(); err == nil {
		name += "@" + host
	}
	return name
}
