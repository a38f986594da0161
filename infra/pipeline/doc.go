// Package pipeline tests the scripts in this folder: rest and submit, which Terraform runs on the machine that
// applies, and steps, which cloudbuild.yaml runs in order. In the tests, an HTTP server takes the place of Google's
// APIs, and scripts that record their arguments take the place of terraform, go and npm.
package pipeline
