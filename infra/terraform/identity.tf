# Identity Platform (Firebase Auth): who may sign in, and the key that the
# browser calls it with.

# It cannot be deleted, so a second apply without the first one's state must take it over.
import {
  for_each = var.adopt_identity_platform ? toset(["config"]) : toset([])
  to       = google_identity_platform_config.this
  id       = "projects/${var.project}/config"
}

resource "google_identity_platform_config" "this" {
  sign_in {
    allow_duplicate_emails = false

    email {
      enabled           = true
      password_required = true
    }

    anonymous {
      enabled = false
    }
  }

  client {
    permissions {
      # The key is public. With it alone nobody makes or deletes an account:
      # POST /signup and DELETE /me are the only ways in and out.
      disabled_user_signup   = true
      disabled_user_deletion = true
    }
  }

  # Where links in mails (a new password) may lead back to.
  authorized_domains = distinct([local.hosted_host, local.run_host, local.auth_domain])

  depends_on = [time_sleep.apis]
}

locals {
  # What the provider has no argument for (as of 7.45). min_password_length is
  # accounts.MinPassword; settings_test.go holds the two together.
  min_password_length = 8
  identity_extras = {
    passwordPolicyConfig = {
      passwordPolicyEnforcementState = "ENFORCE"
      passwordPolicyVersions = [{
        customStrengthOptions = { minPasswordLength = local.min_password_length }
      }]
    }
    # An unknown address and a wrong password get the same answer.
    emailPrivacyConfig = { enableImprovedEmailPrivacy = true }
  }
}

module "identity_extras" {
  source = "./modules/call"

  method  = "PATCH"
  url     = "https://identitytoolkit.googleapis.com/admin/v2/projects/${var.project}/config?updateMask=${join(",", keys(local.identity_extras))}"
  body    = jsonencode(local.identity_extras)
  project = var.project
  token   = data.google_client_config.this.access_token
  after   = google_identity_platform_config.this.id
}

# Whose name everything is done in, for the two calls that no resource makes.
data "google_client_config" "this" {}

# A deleted key keeps its name for 30 days.
resource "random_id" "web_key" {
  byte_length = 4
}

# Public by nature: it says which project is meant, not who is asking. It opens the two
# APIs of signing in, and no other.
resource "google_apikeys_key" "web" {
  name         = "chat-web-${random_id.web_key.hex}"
  display_name = "Browser client of the chat"

  restrictions {
    api_targets {
      service = "identitytoolkit.googleapis.com"
    }
    api_targets {
      service = "securetoken.googleapis.com"
    }
  }

  # Rotating: make the new one, serve it, then delete the old one.
  lifecycle {
    create_before_destroy = true
  }

  depends_on = [time_sleep.apis]
}

# What the functions may do to accounts: everything about people, nothing about how
# sign-in itself is set up.
resource "google_project_iam_custom_role" "accounts" {
  role_id     = "chatAccounts"
  title       = "Chat: accounts"
  description = "Create, read, change and delete the accounts of people."
  permissions = [
    "firebaseauth.users.create",
    "firebaseauth.users.delete",
    "firebaseauth.users.get",
    "firebaseauth.users.update",
  ]

  depends_on = [time_sleep.apis]
}
