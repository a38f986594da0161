// Package prober is the contract between the prober, which tests the running chat all the time (infra/pipeline/smoke),
// and the functions, which let it sign in (functions/api).
package prober

import "strings"

// The prober has two users. Firebase generates uids without a hyphen, so nobody else can have these.
const (
	prefix = "prober-"

	A = prefix + "a" // uid of the user who writes first
	B = prefix + "b" // uid of the other one
)

// Is reports whether uid is a user of the prober. Such users are in no directory and no figure, because they are not
// people.
func Is(uid string) bool { return strings.HasPrefix(uid, prefix) }

// Path is the path of the call with which the prober signs in, below the base URL of the functions.
const Path = "/admin/probe"

// Audience returns the audience of the ID token with which the prober's service account calls Path. hosted is the
// public address of the chat, as https://host.
func Audience(hosted string) string { return hosted + Path }

// Answer is the answer to the call.
type Answer struct {
	Users []User `json:"users"` // A and B
}

// User is a user of the prober and a token to sign in with.
type User struct {
	UID      string `json:"uid"`
	Username string `json:"username"`
	Token    string `json:"token"` // for accounts:signInWithCustomToken
}
