# The function messages: GET /messages, a page of history.

module "messages" {
  source = "./modules/function"

  name        = "messages"
  entry_point = "messages"
  description = "Reads the history of a conversation."
  shared      = local.functions
  public      = true
}

# It reads; but once an hour it notes when the caller was active.
resource "google_project_iam_member" "messages_firestore" {
  project = var.project
  role    = "roles/datastore.user"
  member  = module.messages.member
}
