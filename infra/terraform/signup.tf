# The function signup: POST /signup is the only way to sign up.

module "signup" {
  source = "./modules/function"

  name        = "signup"
  entry_point = "signup"
  description = "Signs up users."
  shared      = local.functions
  public      = true

  # A flood of sign-ups must not start many instances.
  max_instances = min(10, var.function_max_instances)

  depends_on = [time_sleep.apis]
}

# It reserves the username and counts the sign-ups from an IP address.
resource "google_project_iam_member" "signup_firestore" {
  project = var.project
  role    = "roles/datastore.user"
  member  = module.signup.member

  condition {
    title       = local.only_chat_database.title
    description = local.only_chat_database.description
    expression  = local.only_chat_database.expression
  }
}

# It creates the account, and deletes it if a later step fails.
resource "google_project_iam_member" "signup_accounts" {
  project = var.project
  role    = google_project_iam_custom_role.accounts.id
  member  = module.signup.member
}
