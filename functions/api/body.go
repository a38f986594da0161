package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// Limits of a request.
const (
	maxBody  = 16 << 10 // bytes
	maxToken = 8 << 10  // bytes
)

func micros(t time.Time) chat.Micros { return chat.MicrosOf(t) }

// readBody reads the JSON body and checks its size, content type and encoding.
func (r *request) readBody(w http.ResponseWriter, rule bodyRule) error {
	b, err := io.ReadAll(http.MaxBytesReader(w, r.http.Body, maxBody))
	if err != nil {
		var big *http.MaxBytesError
		if errors.As(err, &big) {
			return errBodyTooBig
		}
		return errJSON.WithCause(err)
	}
	if len(b) == 0 && rule == optional {
		return nil
	}
	if t, _, err := mime.ParseMediaType(r.http.Header.Get("Content-Type")); err != nil || t != "application/json" {
		return errContentType.WithCause(fmt.Errorf("content type %.60q", r.http.Header.Get("Content-Type")))
	}
	if !utf8.Valid(b) { // encoding/json would replace it by U+FFFD
		return errJSON.WithCause(errors.New("not valid UTF-8"))
	}
	r.body = b
	return nil
}

// decode reads the body, one JSON object, into v. It ignores unknown fields, so that newer clients are served. A
// field of the wrong type is an error that names the field.
func (r *request) decode(v any) error {
	if r.body == nil {
		return nil
	}
	if t := bytes.TrimLeft(r.body, " \t\r\n"); len(t) == 0 || t[0] != '{' {
		return errJSON.WithCause(errors.New("not a JSON object"))
	}
	err := json.Unmarshal(r.body, v)
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) && wrong.Field != "" {
		return fieldProblem(wrong.Field, "This value has the wrong type.").WithCause(err)
	}
	if err != nil {
		return errJSON.WithCause(err)
	}
	return nil
}

// fieldProblem returns a problem with one field.
func fieldProblem(field, message string) *problem.Error {
	return &problem.Error{Kind: problem.Invalid, Code: "invalid_fields", Message: message,
		Fields: map[string]string{field: message}}
}

// limit returns the limit of the query, 1 to 200. The default is 50.
func (r *request) limit() (int, error) {
	s := r.query.Get("limit")
	if s == "" {
		return 50, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > 200 {
		return 0, fieldProblem("limit", "Enter a number from 1 to 200.")
	}
	return n, nil
}
