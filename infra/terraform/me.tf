# The function me: the own profile, export, leaving.

module "me" {
  source = "./modules/function"

  name        = "me"
  entry_point = "me"
  description = "Shows, changes, exports and deletes the own account."
  shared      = local.functions
  public      = true

  # Leaving deletes every conversation, and an export reads them.
  timeout = 300
}

resource "google_project_iam_member" "me_firestore" {
  project = var.project
  role    = "roles/datastore.user"
  member  = module.me.member
}

resource "google_project_iam_member" "me_accounts" {
  project = var.project
  role    = google_project_iam_custom_role.accounts.id
  member  = module.me.member
}
