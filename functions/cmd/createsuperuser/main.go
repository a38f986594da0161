// Command createsuperuser makes a user an admin, and creates the user if the address is new:
//
//	go run ./functions/cmd/createsuperuser -email you@example.org
//
// It says what comes next until the admin panel opens, such as the second factor that admins need.
//
// It asks the chat that is running on this machine (go run ./infra/local). With -project it works on Google Cloud,
// with the credentials of the person who runs it (gcloud auth application-default login). That account needs the
// roles Cloud Datastore User, Logs Writer, Firebase Authentication Admin and Service Usage Consumer. With -revoke it
// makes the admin an ordinary user again. With -reset-second-factor it removes the authenticator app of an admin who
// has lost it and the recovery codes, and signs them out everywhere. Every use is in the audit log.
//
// Anybody may have signed up with your address, so an existing account whose address is not verified is refused. To
// make such a user an admin anyway, name the account by its uid (-uid). The command shows the account, and asks for
// its username; a script gives it with -confirm.
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"strings"

	"github.com/phoenixchat/phoenixchat/functions/accounts"
	"github.com/phoenixchat/phoenixchat/functions/operator"
	"github.com/phoenixchat/phoenixchat/functions/store/storefirestore"
	"github.com/phoenixchat/phoenixchat/functions/users"
	"github.com/phoenixchat/phoenixchat/realtime/internalapi"
)

func main() { operator.Main(run) }

func run(ctx context.Context, env operator.Env) error {
	var (
		o operator.AdminOrder
		t operator.Target
	)
	f := flag.NewFlagSet("createsuperuser", flag.ContinueOnError)
	f.StringVar(&o.Email, "email", "", "email `address` of the user; this or -uid is required")
	f.StringVar(&o.UID, "uid", "", "`uid` of an existing user, whose address need not be verified")
	f.StringVar(&o.Confirm, "confirm", "", "with -uid: the `username`, to confirm the account without a question")
	f.BoolVar(&o.Revoke, "revoke", false, "make the admin an ordinary user again")
	f.BoolVar(&o.ResetFactor, "reset-second-factor", false,
		"remove the second factor of the user, and sign them out everywhere; nothing else")
	f.StringVar(&o.Username, "username", "", "`name` of a new user (default: derived from the address)")
	f.StringVar(&o.DisplayName, "name", "", "display `name` of a new user (default: the username)")
	fromStdin := f.Bool("password-stdin", false,
		"read the password of a new user from standard input (default: a random password, which is printed)")
	t.AddFlags(f)
	if err := env.Parse(f); err != nil {
		return err
	}
	if (o.Email == "") == (o.UID == "") || o.Confirm != "" && o.UID == "" || o.Revoke && o.ResetFactor || f.NArg() > 0 {
		fmt.Fprintln(env.Stderr,
			"Give the email address of the user (-email you@example.org), or the uid of an existing one (-uid).")
		return operator.ErrUsage
	}
	if *fromStdin {
		b, err := io.ReadAll(io.LimitReader(env.Stdin, 4096))
		if err != nil {
			return operator.Failure{Text: "The password cannot be read from standard input: " + err.Error(), Cause: err}
		}
		o.Password = strings.TrimRight(string(b), "\r\n")
	}
	o.Create, o.By = !o.Revoke && !o.ResetFactor && o.UID == "", operator.Author()
	give := func(o operator.AdminOrder) (string, error) {
		return t.Ask(ctx, operator.AdminPath, o, func(ctx context.Context) (string, error) {
			return setAdmin(ctx, t, o, env.Getenv)
		})
	}
	if o.UID != "" && o.Confirm == "" && !o.Revoke && !o.ResetFactor && env.Terminal {
		show := o
		show.Show = true
		shown, err := give(show)
		if err == nil {
			o.Confirm, err = ask(env, shown)
		}
		if err != nil {
			return err
		}
	}
	answer, err := give(o)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(env.Stdout, answer)
	return err
}

// ask shows a user to the person at the terminal and returns what they enter as the username.
func ask(env operator.Env, shown string) (string, error) {
	fmt.Fprintf(env.Stdout, "%s\nEnter the username to make this person an admin: ", shown)
	line, err := bufio.NewReader(env.Stdin).ReadString('\n')
	if line = strings.TrimSpace(line); line == "" {
		return "", operator.Failure{Text: "Nothing was changed.", Cause: err}
	}
	return line, nil
}

// setAdmin carries out the order on Google Cloud.
func setAdmin(ctx context.Context, t operator.Target, o operator.AdminOrder,
	getenv func(string) string) (string, error) {
	db, err := storefirestore.Open(ctx, storefirestore.Options{Project: t.Project, Database: t.Database,
		EmulatorHost: getenv("FIRESTORE_EMULATOR_HOST")})
	if err != nil {
		return "", operator.Unreachable("Firestore", err)
	}
	defer db.Close()
	record, err := operator.CloudRecorder(ctx, t.Project, getenv("FIRESTORE_EMULATOR_HOST"))
	if err != nil {
		return "", err
	}
	auth, err := accounts.NewFirebase(ctx, accounts.Options{Project: t.Project, QuotaProject: t.Project,
		EmulatorHost: getenv("FIREBASE_AUTH_EMULATOR_HOST")})
	if err != nil {
		return "", operator.Unreachable("Firebase Auth", err)
	}
	service := users.New(users.Deps{Store: db, Accounts: auth, Realtime: noRealtime{}})
	return operator.SetAdmin(ctx, operator.Deps{Store: db, Users: service, Accounts: auth, Record: record,
		Panel: operator.Panel{Factor: true}}, o)
}

// noRealtime panics if it is called, but for hints that a profile has changed, and for the gate of a user whose
// address the command finds or makes confirmed, or whose second factor it resets. realtime/ need not know: whether a
// user is an admin is not part of the gate, and open clients show the badge when they load the profile the next
// time. A cached gate, by which an unconfirmed user reaches fewer new people, expires within 24 h. The sockets of a
// user who was signed out stay open until their tokens expire, within an hour.
type noRealtime struct{ internalapi.API }

func (noRealtime) GateChanged(context.Context, internalapi.Gate) error { return nil }

func (noRealtime) ProfileChanged(context.Context, string) error    { return nil }
func (noRealtime) OwnProfileChanged(context.Context, string) error { return nil }
