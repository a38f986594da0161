// Package terraform holds the Go tests of the Terraform configuration beside
// it: those that compare it with the rest of the repository (settings, indexes, the
// runbook, the functions' archive), and those that list who may do what.
//
// They read the state of tests/state.tftest.hcl, which the program named by
// TERRAFORM applies against mocks, without a cloud or an account.
package terraform
