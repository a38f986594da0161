// Package pipeline holds the tests of the scripts beside it: rest and submit, which Terraform
// calls on the machine that applies, and steps, which cloudbuild.yaml runs in order. They
// run here against a server of the test in the place of Google's APIs, and against programs that
// note how they were called in the place of terraform, go and npm.
package pipeline
