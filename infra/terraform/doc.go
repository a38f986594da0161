// Package terraform contains the Go tests of the Terraform configuration in this folder. They compare it with the
// rest of the repository (settings, indexes, the runbook, the functions' archive) and check the list of all grants.
//
// The tests read the state of tests/state.tftest.hcl, which the program named by TERRAFORM applies to mocks, without
// access to Google Cloud.
package terraform
