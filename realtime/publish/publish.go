// Package publish hands delivery data (package delivery) to whoever saves it:
// [PubSub] through Google's Pub/Sub or its emulator, [Push] on one machine by
// posting Pub/Sub's own push format straight to the persist function.
//
// Both implement settle.Publisher: Publish returns nil only when the data is
// safe in the queue that follows.
package publish
