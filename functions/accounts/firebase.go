package accounts

import "net/http"

// Options says which Firebase project, and how it is reached.
type Options struct {
	Project      string
	APIKey       string       // the browser API key; password resets are sent with it
	EmulatorHost string       // host:port of the Auth emulator or the stand-in; "" is Google's
	HTTP         *http.Client // for password resets; nil: a client with a time limit of 10 s
}
