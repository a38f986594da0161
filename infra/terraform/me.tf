# The function me: the profile of the caller, its export and its deletion.

module "me" {
  source = "./modules/function"

  name        = "me"
  entry_point = "me"
  description = "Shows, changes, exports and deletes the caller's own user."
  shared      = local.functions
  public      = true

  # A deletion deletes every conversation of the user. An export reads them, no faster than its budget allows.
  timeout = 3600

  depends_on = [time_sleep.apis]
}

resource "google_project_iam_member" "me_firestore" {
  project = var.project
  role    = "roles/datastore.user"
  member  = module.me.member

  condition {
    title       = local.only_chat_database.title
    description = local.only_chat_database.description
    expression  = local.only_chat_database.expression
  }
}

resource "google_project_iam_member" "me_accounts" {
  project = var.project
  role    = google_project_iam_custom_role.own_account.id
  member  = module.me.member
}
