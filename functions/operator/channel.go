package operator

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// Address tells commands how to reach a running chat. It is the content of File.
type Address struct {
	URL    string `json:"url"`
	Secret string `json:"secret"`
}

// File is the name of the file in the data folder that holds the Address.
const File = "control.json"

// Handle returns a handler that carries out orders of one kind, if they come with the secret. run returns the answer
// for the person who gave the order.
func Handle[Order any](secret string, run func(context.Context, Order) (string, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+secret {
			http.Error(w, "Only the owner of the data folder may give orders here.", http.StatusForbidden)
			return
		}
		var o Order
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16)).Decode(&o); err != nil {
			http.Error(w, "The order could not be read.", http.StatusBadRequest)
			return
		}
		answer, err := run(r.Context(), o)
		if err != nil {
			http.Error(w, Explain(err), problem.Of(err).Kind.HTTPStatus())
			return
		}
		fmt.Fprintln(w, answer)
	})
}

// ErrNotRunning is the error of Send if no chat is running with the data folder.
var ErrNotRunning = errors.New("no chat is running with this data folder")

// Send gives an order to the chat that is running with a data folder, at a path of its control address, and returns
// the answer. It waits for at most a minute. The error is ErrNotRunning, or has a text for people.
func Send(ctx context.Context, folder, path string, order any) (string, error) {
	b, err := os.ReadFile(filepath.Join(folder, File))
	if err != nil {
		return "", ErrNotRunning
	}
	var a Address
	if err := json.Unmarshal(b, &a); err != nil {
		return "", fmt.Errorf("%s: %w", filepath.Join(folder, File), err)
	}
	body, err := json.Marshal(order)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.URL+path, bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Header.Set("Authorization", "Bearer "+a.Secret)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", ErrNotRunning
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return "", err
	}
	text := strings.TrimSpace(string(answer))
	if resp.StatusCode != http.StatusOK {
		return "", errors.New(text)
	}
	return text, nil
}

// Explain returns the text of an error for a person at a terminal: the message of the problem, or those of its
// fields.
func Explain(err error) string {
	p := problem.Of(err)
	if len(p.Fields) == 0 {
		return p.Message
	}
	var lines []string
	for field, message := range p.Fields {
		lines = append(lines, strings.ReplaceAll(field, "_", " ")+": "+message)
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}
