package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// response is the answer of an endpoint: JSON, a picture, a file that is streamed, or, if it has none, no content.
type response struct {
	status int // 0: 200, or 204 without content
	json   any
	// A picture never changes at its address, so the caller may keep it.
	picture *store.Picture

	file        string // suggested name of the file
	contentType string
	stream      func(io.Writer) error
}

func ok(v any) *response { return &response{json: v} }

// details is the body of an error, as in RFC 9457. It adds a stable code, a message and a code per field for forms,
// and when to try again.
type details struct {
	Type         string            `json:"type"`
	Title        string            `json:"title"`
	Status       int               `json:"status"`
	Detail       string            `json:"detail"`
	Code         string            `json:"code"`
	Fields       map[string]string `json:"fields,omitempty"`
	FieldCodes   map[string]string `json:"field_codes,omitempty"`
	RetryAfterMS int64             `json:"retry_after_ms,omitempty"`

	PasswordChangedAt chat.Micros `json:"password_changed_at,omitempty"` // which ended the caller's sign-in
}

// write writes a response or an error. It returns the status and the error for the log.
func write(w http.ResponseWriter, r *response, err error) (int, error) {
	if err == nil && r.stream != nil {
		return writeFile(w, r)
	}
	status, contentType := http.StatusNoContent, "application/json"
	var body []byte
	if err == nil {
		if r.json != nil {
			status = http.StatusOK
			if body, err = json.Marshal(r.json); err != nil {
				err = fmt.Errorf("encode the response: %w", err)
			}
		}
		if r.picture != nil {
			status, contentType, body = http.StatusOK, r.picture.Type, r.picture.Data
			w.Header().Set("Cache-Control", "private, max-age=31536000, immutable")
		}
		if r.status != 0 {
			status = r.status
		}
	}
	if err != nil {
		p := problem.Of(err)
		status, contentType = p.Kind.HTTPStatus(), "application/problem+json"
		if s, special := httpStatus[p.Code]; special {
			status = s
		}
		d := details{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: p.Message, Code: p.Code,
			Fields: p.Fields, FieldCodes: p.FieldCodes, RetryAfterMS: p.RetryAfter.Milliseconds()}
		var ended endedByPassword
		if errors.As(err, &ended) {
			d.PasswordChangedAt = ended.at
		}
		body, _ = json.Marshal(d) // strings and numbers only
		if p.RetryAfter > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(p.RetryAfter.Seconds()))))
		}
		if status == http.StatusUnauthorized {
			w.Header().Set("WWW-Authenticate", `Bearer realm="chat"`)
		}
	}
	if body != nil {
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	}
	w.WriteHeader(status)
	if _, werr := io.Copy(w, bytes.NewReader(body)); werr != nil {
		return status, errors.Join(err, werr) // the connection is lost
	}
	return status, err
}

// writeFile streams a file. If that fails after the first byte, it aborts the connection, so that half a file does
// not look like a complete one.
func writeFile(w http.ResponseWriter, r *response) (int, error) {
	w.Header().Set("Content-Type", r.contentType)
	w.Header().Set("Content-Disposition", `attachment; filename="`+r.file+`"`)
	out := &startWriter{Writer: w}
	err := r.stream(out)
	if err == nil {
		return http.StatusOK, nil
	}
	if !out.started {
		w.Header().Del("Content-Disposition")
		return write(w, nil, err)
	}
	panic(http.ErrAbortHandler)
}

// startWriter records whether anything was written.
type startWriter struct {
	io.Writer
	started bool
}

func (s *startWriter) Write(p []byte) (int, error) {
	s.started = true
	return s.Writer.Write(p)
}

// Refuse answers with an error. It is for failures before there is an API.
func Refuse(w http.ResponseWriter, err error) {
	secure(w.Header())
	_, _ = write(w, nil, err)
}

// secure sets the headers that every answer has, also to preflights and with errors. Browsers ignore
// Strict-Transport-Security unless the connection is encrypted, so it does not affect a chat on one machine.
func secure(h http.Header) {
	h.Set("Strict-Transport-Security", "max-age=31536000; includeSubDomains")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; object-src 'none'; base-uri 'none'; form-action 'none'; "+
		"frame-ancestors 'none'")
}
