// Package memory has the test of how much memory a socket takes. It is a package of its own because it runs without the
// race detector, which takes another third for each socket.
package memory
