package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/phoenixchat/phoenixchat/functions/picture"
	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// Limits of a request.
const (
	maxBody  = 16 << 10 // bytes
	maxToken = 8 << 10  // bytes
)

func micros(t time.Time) chat.Micros { return chat.MicrosOf(t) }

// readBody reads the body and checks its size. Of JSON, it also checks the content type and the encoding.
func (r *request) readBody(w http.ResponseWriter, rule bodyRule) error {
	limit := int64(maxBody)
	switch rule {
	case pictureBody:
		limit = store.MaxPicture
	case reportBody:
		limit = maxReport
	}
	b, err := io.ReadAll(http.MaxBytesReader(w, r.http.Body, limit))
	if err != nil {
		var big *http.MaxBytesError
		switch {
		case errors.As(err, &big) && rule == pictureBody:
			return picture.ErrTooLarge
		case errors.As(err, &big):
			return errBodyTooBig
		}
		return errJSON.WithCause(err)
	}
	if rule == pictureBody {
		r.body = b
		return nil
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

// decode reads the body, one JSON object, into v. It ignores unknown fields, so that newer clients are served, and the
// case of a name matters. A field of the wrong type is an error that names the field. A field that is given twice, and
// an unpaired surrogate, are errors: encoding/json would use the last value, and replace the surrogate by U+FFFD.
func (r *request) decode(v any) error {
	if r.body == nil {
		return nil
	}
	fields, err := fieldsOf(r.body)
	if err != nil {
		return errJSON.WithCause(err)
	}
	body, err := json.Marshal(fields)
	if err != nil {
		return errJSON.WithCause(err)
	}
	err = json.Unmarshal(body, v)
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) && wrong.Field != "" {
		return fieldProblem(wrong.Field, "This value has the wrong type.").WithCause(err)
	}
	if err != nil {
		return errJSON.WithCause(err)
	}
	return nil
}

// fieldsOf returns the fields of a JSON object whose names are in lower case, which all fields of the API are.
func fieldsOf(body []byte) (map[string]json.RawMessage, error) {
	if err := pairedSurrogates(body); err != nil {
		return nil, err
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	if start, err := dec.Token(); err != nil || start != json.Delim('{') {
		return nil, errors.Join(errors.New("not a JSON object"), err)
	}
	fields, seen := map[string]json.RawMessage{}, map[string]bool{}
	for dec.More() {
		token, err := dec.Token()
		if err != nil {
			return nil, err
		}
		name, _ := token.(string) // the decoder accepts nothing else here
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, err
		}
		if seen[name] {
			return nil, fmt.Errorf("field %.40q is given twice", name)
		}
		if seen[name] = true; name == strings.ToLower(name) {
			fields[name] = value
		}
	}
	if _, err := dec.Token(); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("data after the JSON object")
	}
	return fields, nil
}

// escape matches an escaped code unit or another escape of JSON. A pair of surrogates is one match.
var escape = regexp.MustCompile(`\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\.`)

// pairedSurrogates returns an error if body has an escape of half a surrogate pair.
func pairedSurrogates(body []byte) error {
	for _, e := range escape.FindAll(body, -1) {
		if len(e) == len(`\uFFFF`) && (e[2] == 'd' || e[2] == 'D') && e[3] >= '8' {
			return fmt.Errorf("unpaired surrogate %s", e)
		}
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
