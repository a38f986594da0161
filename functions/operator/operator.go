// Package operator carries out the orders that the operator of a chat gives on a command line: [SetAdmin] makes and
// unmakes admins, [DeadLetters] lists, replays and discards dead letters, and [Waiting] shows and withdraws messages
// that wait.
//
// An order takes one of two ways:
//
//   - On one machine, only the running chat has the data file open. The command sends the order to it ([Send]), and
//     the chat carries it out ([Handle]). The chat writes an address and a secret into its data folder, where only
//     the owner of the folder can read them.
//   - On Google Cloud, the command itself carries out the order, with the credentials of the person who runs it.
//
// [Target] chooses between the two, and [Main] is the frame of such a command. Orders that change something are in
// the audit log, under the name of the person who gave them, before they are carried out.
package operator

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/phoenixchat/phoenixchat/functions/accounts"
	"github.com/phoenixchat/phoenixchat/functions/deadletter"
	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/functions/users"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/internalapi"
)

// Deps is what orders need. Store is always required, Users and Accounts for SetAdmin, Collector and Replayer for
// DeadLetters, and Realtime for Waiting.
type Deps struct {
	Store interface {
		store.Users
		store.Records
	}
	Users     *users.Service
	Accounts  accounts.Accounts
	Collector deadletter.Collector
	Replayer  deadletter.Replayer
	Realtime  internalapi.API
	Panel     Panel            // for the answer of SetAdmin
	Now       func() time.Time // nil: time.Now

	// Record writes a second copy of each entry of the audit log, such as CloudRecorder; nil: none.
	Record func(context.Context, store.Audit) error
}

// Panel describes the way to the admin panel, which the answer of SetAdmin explains.
type Panel struct {
	URL    string // of the chat, without a trailing slash; "": the one that Terraform prints
	Factor bool   // admins need a second factor
	Codes  string // where the codes of authenticator apps are printed, too; "": nowhere
}

// audit appends an entry to the audit log. It fills in the id and the time, and marks the author as a command. An
// order that cannot be recorded must not be carried out.
func (d Deps) audit(ctx context.Context, entry store.Audit) error {
	id, err := uuid.NewV7()
	if err != nil {
		return fmt.Errorf("audit id: %w", err)
	}
	now := d.Now
	if now == nil {
		now = time.Now
	}
	entry.ID, entry.At, entry.By = id.String(), chat.MicrosOf(now()), "command:"+entry.By
	if err := d.Store.AddAudit(ctx, entry); err != nil || d.Record == nil {
		return err
	}
	return d.Record(ctx, entry)
}
