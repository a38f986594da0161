# The function users: GET /users, the directory.

module "users" {
  source = "./modules/function"

  name        = "users"
  entry_point = "users"
  description = "Lists and finds people."
  shared      = local.functions
  public      = true
}

# It reads; but once an hour it notes when the caller was active.
resource "google_project_iam_member" "users_firestore" {
  project = var.project
  role    = "roles/datastore.user"
  member  = module.users.member
}
