// Package repo finds the repository's root folder.
package repo

//lint:file-ignore ST1005 These errors are sentences for the person at the terminal.

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
)

// ErrOutside is returned when the working directory is not in the repository. Programs print it as it is.
var ErrOutside = errors.New("Run this inside the Phoenix Chat repository.")

// Root returns the repository's root folder, which contains the working directory, or ErrOutside.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; ; dir = filepath.Dir(dir) {
		b, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && strings.HasPrefix(string(b), "module github.com/phoenixchat/phoenixchat\n") {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", ErrOutside
		}
	}
}
