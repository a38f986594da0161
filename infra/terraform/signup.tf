# The function signup: POST /signup, the only way in.

module "signup" {
  source = "./modules/function"

  name        = "signup"
  entry_point = "signup"
  description = "Creates accounts."
  shared      = local.functions
  public      = true

  # A flood of sign-ups should wait, not multiply.
  max_instances = min(10, var.function_max_instances)
}

# Reserves the username, counts sign-ups from an address.
resource "google_project_iam_member" "signup_firestore" {
  project = var.project
  role    = "roles/datastore.user"
  member  = module.signup.member
}

# Creates the account, and takes it back where the rest fails.
resource "google_project_iam_member" "signup_accounts" {
  project = var.project
  role    = google_project_iam_custom_role.accounts.id
  member  = module.signup.member
}
