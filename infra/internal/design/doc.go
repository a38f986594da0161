// Package design holds the tests that compare realtime/DESIGN.md with the code: its section numbers, tables and
// limits. The page is read by people who cannot see at a glance whether it is current, so a test has to.
//
// The tests read names from the code (constants, JSON and Firestore tags, Lua scripts, routes) and never from a copied
// list, so that a renamed field fails here until the page names it, too.
package design
