# The function messages: GET /messages, a page of history. It only reads.

module "messages" {
  source = "./modules/function"

  name        = "messages"
  entry_point = "messages"
  description = "Reads the history of a conversation."
  shared      = local.functions
  public      = true
}

resource "google_project_iam_member" "messages_firestore" {
  project = var.project
  role    = "roles/datastore.viewer"
  member  = module.messages.member
}
