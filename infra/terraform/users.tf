# The function users: GET /users, the directory. It only reads.

module "users" {
  source = "./modules/function"

  name        = "users"
  entry_point = "users"
  description = "Lists and finds people."
  shared      = local.functions
  public      = true
}

resource "google_project_iam_member" "users_firestore" {
  project = var.project
  role    = "roles/datastore.viewer"
  member  = module.users.member
}
