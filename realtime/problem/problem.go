// Package problem defines the errors that both services report.
//
// An [Error] has a kind, which decides how to handle it; a stable code, on which clients branch; a message that is safe
// and useful to show to a user; and the wrapped cause, which is logged and never shown. Adapters translate vendor
// errors (redis.Nil, codes.NotFound) into these errors, so that nothing above an adapter depends on a vendor.
//
// One table maps kinds to HTTP statuses and to WebSocket close codes. A test proves that it has every kind.
package problem

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// Kind is the category of an error. The zero Kind is Internal.
type Kind int

const (
	Internal        Kind = iota // a bug, or an unexpected response of a dependency
	Invalid                     // the request is malformed or breaks a rule
	Unauthenticated             // no token, or a token that cannot be verified
	TokenEnded                  // a token that was valid and has expired or was revoked
	Forbidden                   // the caller is known, but not allowed
	NotFound                    // it does not exist, or the caller may not know that it does
	Conflict                    // it is taken, or has changed in the meantime
	TooLarge                    // the request exceeds a size limit
	TooMany                     // a rate or quota is used up; see RetryAfter
	Replaced                    // another socket of the same user took the place of this one
	Unavailable                 // a dependency is down or slow; the caller should try again
	GoingAway                   // this instance is shutting down; the caller should connect again
)

// kinds lists every Kind with its name, HTTP status and close code.
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
	{Replaced, "replaced", http.StatusConflict, 4409},
	{Unavailable, "unavailable", http.StatusServiceUnavailable, 1013},
	{GoingAway, "going_away", http.StatusServiceUnavailable, 1001},
}

// String returns the name of k, for logs.
func (k Kind) String() string {
	for _, e := range kinds {
		if e.kind == k {
			return e.name
		}
	}
	return fmt.Sprintf("kind(%d)", int(k))
}

// HTTPStatus returns the HTTP status of an error of kind k.
func (k Kind) HTTPStatus() int {
	for _, e := range kinds {
		if e.kind == k {
			return e.status
		}
	}
	return http.StatusInternalServerError
}

// CloseCode returns the WebSocket close code of an error of kind k.
func (k Kind) CloseCode() int {
	for _, e := range kinds {
		if e.kind == k {
			return e.close
		}
	}
	return 1011
}

// Error is an error that can be reported to a client: Code is for programs, Message for people. Err, the cause, is for
// logs only. An Error must not be changed after it was created.
type Error struct {
	Kind       Kind
	Code       string            // stable, lower_snake_case, part of the protocol
	Message    string            // one or two sentences: what happened and what to do next
	Fields     map[string]string // for forms: field name → message
	FieldCodes map[string]string // for forms: field name → code; empty if Code says what is wrong with the field
	RetryAfter time.Duration     // > 0: the same request may succeed after this time
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

// WithRetry returns a copy of e whose request may be tried again after d.
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

// Is reports whether target is an Error with the same code, so that errors.Is(err, problem.ErrUnavailable) is true for
// every cause.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// Of returns err as an Error. If err is not one, the result is ErrUnavailable when a deadline was exceeded (a slow
// dependency), and an error with the code "internal" otherwise. Of(nil) is nil.
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
	return Wrap(err, Internal, "internal", "Something went wrong on our side. Please try again.")
}

// Errors that several packages return.
var (
	ErrUnavailable = New(Unavailable, "unavailable",
		"The chat is not available right now. Please try again in a moment.").WithRetry(2 * time.Second)
	ErrUnauthenticated = New(Unauthenticated, "unauthenticated", "Please sign in to continue.")
	ErrTokenEnded      = New(TokenEnded, "token_ended", "Your sign-in has expired. Please sign in again.")
	ErrSignedOut       = New(TokenEnded, "signed_out", "You were signed out here from another device.")
	ErrDisabled        = New(Forbidden, "account_disabled",
		"This account has been disabled. Contact the operator of this chat.")
	ErrDeleted   = New(Forbidden, "account_deleted", "This account no longer exists.")
	ErrForbidden = New(Forbidden, "forbidden", "You are not allowed to do this.")
	ErrNotFound  = New(NotFound, "not_found", "There is nothing at this address.")
)
