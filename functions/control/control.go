// Package control lets commands of this machine's owner give orders to the
// chat that runs here: it alone has the data file open. The chat writes an
// address and a secret into its data folder, where only its owner can read them.
package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// Address is the content of the file.
type Address struct {
	URL    string `json:"url"`
	Secret string `json:"secret"`
}

// File is its name in the data folder.
const File = "control.json"

// Handle carries out orders of one kind that come with the secret: run returns
// what to tell who gave it.
func Handle[Order any](secret string, run func(context.Context, Order) (string, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+secret {
			http.Error(w, "This address is for commands of this machine's owner.", http.StatusForbidden)
			return
		}
		var o Order
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16)).Decode(&o); err != nil {
			http.Error(w, "This is no order.", http.StatusBadRequest)
			return
		}
		told, err := run(r.Context(), o)
		if err != nil {
			http.Error(w, Explain(err), problem.Of(err).Kind.HTTPStatus())
			return
		}
		fmt.Fprintln(w, told)
	})
}

// ErrNotRunning is the error of Send where no chat runs with the data folder.
var ErrNotRunning = errors.New("no chat runs there")

// Send gives an order to the chat that runs with a data folder, at a path of its
// control address, and returns what it tells. The error is ErrNotRunning, or one whose text is for people.
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
	told := strings.TrimSpace(string(answer))
	if resp.StatusCode != http.StatusOK {
		return "", errors.New(told)
	}
	return told, nil
}

// Explain returns what to tell a person at a terminal about an error: its message, or that of each field.
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

// Whoami names who runs the command, for the audit log.
func Whoami() string {
	name := "unknown"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if host, err := os.Hostname(); err == nil {
		name += "@" + host
	}
	return name
}
