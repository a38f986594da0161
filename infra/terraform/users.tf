# The function users: GET /users lists and finds users.

module "users" {
  source = "./modules/function"

  name        = "users"
  entry_point = "users"
  description = "Lists and finds users."
  shared      = local.functions
  public      = true

  depends_on = [time_sleep.apis]
}

# It reads, but once an hour it also writes when the caller was last active.
resource "google_project_iam_member" "users_firestore" {
  project = var.project
  role    = "roles/datastore.user"
  member  = module.users.member

  condition {
    title       = local.only_chat_database.title
    description = local.only_chat_database.description
    expression  = local.only_chat_database.expression
  }
}
