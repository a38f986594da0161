// Package repo finds the repository that a program of it was started in.
package repo

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
)

// ErrOutside says that the working directory is not in the repository.
var ErrOutside = errors.New("Run this inside the repository of Phoenix Chat.")

// Root returns the folder with go.mod that the working directory is in, or ErrOutside.
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
