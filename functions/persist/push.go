package persist

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
)

// Constants of the event that functions-framework makes of a push.
const (
	eventType   = "google.cloud.pubsub.topic.v1.messagePublished"
	messageType = "type.googleapis.com/google.pubusb.v1.PubsubMessage" // the framework's own spelling
)

// maxPush is how large a push can be: Pub/Sub's limit of 10 MB, in base64, and room for the rest.
const maxPush = 14 << 20

// ServeHTTP takes the body of a Pub/Sub push, converts it as
// functions-framework does (whose handler cannot be mounted elsewhere; a test
// holds the two against each other), and answers as the framework would: 200
// when Handle returned nil, 500 when it did not, 400 for what is no push.
func (f *Function) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxPush))
	if err != nil {
		http.Error(w, "The body cannot be read.", http.StatusBadRequest)
		return
	}
	e, err := convert(body, time.Now())
	if err != nil {
		f.deps.Log.WarnContext(r.Context(), "a request that is no push", "error", err)
		http.Error(w, "This is no push of Pub/Sub.", http.StatusBadRequest)
		return
	}
	if err := f.Handle(r.Context(), e); err != nil {
		f.deps.Log.ErrorContext(r.Context(), "saving failed and will be tried again", "error", err)
		http.Error(w, "Saving failed. Try again.", http.StatusInternalServerError)
	}
}

// convert makes the event of a push body.
func convert(body []byte, now time.Time) (event.Event, error) {
	var push struct {
		Subscription string `json:"subscription"`
		Message      *struct {
			ID          string            `json:"messageId"`
			Data        []byte            `json:"data"`
			Attributes  map[string]string `json:"attributes"`
			PublishTime time.Time         `json:"publishTime"`
		} `json:"message"`
	}
	if err := json.Unmarshal(body, &push); err != nil {
		return event.Event{}, fmt.Errorf("push body: %w", err)
	}
	m := push.Message
	if m == nil {
		return event.Event{}, errors.New("push body: no message")
	}
	if m.PublishTime.IsZero() {
		m.PublishTime = now
	}
	e := event.New()
	e.SetID(m.ID)
	e.SetType(eventType)
	e.SetSource("//pubsub.googleapis.com/")
	e.SetTime(m.PublishTime)
	err := e.SetData(event.ApplicationJSON, map[string]any{"message": map[string]any{
		"@type": messageType, "data": m.Data, "attributes": m.Attributes, "publishTime": m.PublishTime, "messageId": m.ID,
	}})
	if err != nil {
		return event.Event{}, fmt.Errorf("push body: %w", err)
	}
	if err := e.Validate(); err != nil {
		return event.Event{}, fmt.Errorf("push body: %w", err)
	}
	return e, nil
}
