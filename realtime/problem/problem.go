// Package problem is the one vocabulary of errors that both services speak.
//
// An [Error] has a kind (what sort of trouble, for machines that route it), a
// stable code (for clients that branch on it), a message that is safe and
// useful to show to a person, and the wrapped cause, which is logged and never
// shown. Adapters translate vendor errors (redis.Nil, codes.NotFound) into
// this vocabulary at their edge, so nothing above them knows a vendor.
//
// One table maps kinds to HTTP statuses and one to WebSocket close codes; a
// test proves that every kind is in both.
package problem

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// Kind says what sort of trouble an error is. The zero Kind is Internal.
type Kind int

const (
	Internal        Kind = iota // a bug or an unexpected answer of a dependency
	Invalid                     // the request is malformed or breaks a rule
	Unauthenticated             // no token, or one that does not verify
	TokenEnded                  // a token that was good and has expired or was revoked
	Forbidden                   // known who you are; not allowed
	NotFound                    // the thing does not exist, or you may not know that it does
	Conflict                    // the thing is taken or has changed meanwhile
	TooLarge                    // the request exceeds a size limit
	TooMany                     // a rate or quota is used up; see RetryAfter
	Unavailable                 // a dependency is down or slow; try again
	GoingAway                   // this instance is leaving; connect elsewhere
)

// kinds lists every Kind with its name and its place in both tables.
var kinds = []struct {
	kind   Kind
	name   string
	status int // HTTP status, RFC 9110
	close  int // WebSocket close code, RFC 6455 §7.4; 4xxx are our own
}{
	{Internal, "internal", http.StatusInternalServerError, 1011},
	{Invalid, "invalid", http.StatusUnprocessableEntity, 1008},
	{Unauthenticated, "unauthenticated", http.StatusUnauthorized, 1008},
	{TokenEnded, "token_ended", http.StatusUnauthorized, 4401},
	{Forbidden, "forbidden", http.StatusForbidden, 1008},
	{NotFound, "not_found", http.StatusNotFound, 1008},
	{Conflict, "conflict", http.StatusConflict, 1008},
	{TooLarge, "too_large", http.StatusRequestEntityTooLarge, 1009},
	{TooMany, "too_many", http.StatusTooManyRequests, 1008},
	{Unavailable, "unavailable", http.StatusServiceUnavailable, 1013},
	{GoingAway, "going_away", http.StatusServiceUnavailable, 1001},
}

// String returns the kind's name as it stands in logs.
func (k Kind) String() string {
	for _, e := range kinds {
		if e.kind == k {
			return e.name
		}
	}
	return fmt.Sprintf("kind(%d)", int(k))
}

// HTTPStatus returns the HTTP status that answers an error of kind k.
func (k Kind) HTTPStatus() int {
	for _, e := range kinds {
		if e.kind == k {
			return e.status
		}
	}
	return http.StatusInternalServerError
}

// CloseCode returns the WebSocket close code that ends a socket for an error of kind k.
func (k Kind) CloseCode() int {
	for _, e := range kinds {
		if e.kind == k {
			return e.close
		}
	}
	return 1011
}

// Error is an error that can be shown: to a program by Code, to a person by
// Message. Err, the cause, is for logs only. Values are immutable once made.
type Error struct {
	Kind       Kind
	Code       string            // stable, lower_snake_case, part of the protocol
	Message    string            // one or two plain sentences: what happened and what to do
	Fields     map[string]string // for forms: field name → message
	RetryAfter time.Duration     // > 0: the same request may succeed after this long
	Err        error             // the cause; may be nil
}

// New returns an Error without a cause.
func New(kind Kind, code, message string) *Error {
	return &Error{Kind: kind, Code: code, Message: message}
}

// Wrap returns an Error caused by err.
func Wrap(err error, kind Kind, code, message string) *Error {
	return &Error{Kind: kind, Code: code, Message: message, Err: err}
}

// WithRetry returns a copy of e that may be tried again after d.
func (e *Error) WithRetry(d time.Duration) *Error {
	c := *e
	c.RetryAfter = d
	return &c
}

// WithCause returns a copy of e caused by err.
func (e *Error) WithCause(err error) *Error {
	c := *e
	c.Err = err
	return &c
}

func (e *Error) Error() string {
	if e.Err != nil {
		return e.Code + ": " + e.Err.Error()
	}
	return e.Code + ": " + e.Message
}

func (e *Error) Unwrap() error { return e.Err }

// Is reports whether target is an Error with the same code, so that
// errors.Is(err, problem.ErrUnavailable) holds whatever the cause.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// Of returns err as an Error. An error outside the vocabulary becomes
// "unavailable" when it is the end of a deadline (a slow dependency), else "internal".
// Of(nil) is nil.
func Of(err error) *Error {
	if err == nil {
		return nil
	}
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return ErrUnavailable.WithCause(err)
	}
	return Wrap(err, Internal, "internal", "Something went wrong on our side. Try again.")
}

// Errors that more than one package gives.
var (
	ErrUnavailable = &Error{Kind: Unavailable, Code: "unavailable",
		Message: "The chat cannot do this right now. It will try again.", RetryAfter: 2 * time.Second}
	ErrUnauthenticated = New(Unauthenticated, "unauthenticated", "Sign in to go on.")
	ErrTokenEnded      = New(TokenEnded, "token_ended", "Your sign-in has ended. Sign in again.")
	ErrDisabled        = New(Forbidden, "account_disabled", "This account has been disabled. Ask the operator of this chat.")
	ErrDeleted         = New(Forbidden, "account_deleted", "This account no longer exists.")
	ErrForbidden       = New(Forbidden, "forbidden", "You may not do this.")
	ErrNotFound        = New(NotFound, "not_found", "There is nothing here.")
)
