//go:build !race

package storebolt_test

const raceDetector = false
