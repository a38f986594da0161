# Identity Platform (Firebase Auth): the sign-in methods, and the browser's API key.

# It cannot be deleted, so an apply without the state of the first one must import it.
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

    # The provider always reads this block back (readback_test.go).
    phone_number {
      enabled = false
    }
  }

  client {
    permissions {
      # The API key is public, so it must not be enough to create or delete an account. POST /signup and DELETE /me
      # are the only ways to do that.
      disabled_user_signup   = true
      disabled_user_deletion = true
    }
  }

  # Authenticator apps, without which nobody uses the admin panel. Text messages are not enabled: they cost money, and a
  # phone number can be taken over.
  mfa {
    state = "ENABLED"

    provider_configs {
      state = "ENABLED"

      totp_provider_config {
        # Codes of the 30 s before and after are accepted, because clocks differ. The stand-in accepts the same
        # (settings_test.go compares the two).
        adjacent_intervals = 1
      }
    }
  }

  # Hosts that links in mails may lead and return to.
  authorized_domains = distinct([local.hosted_host, local.run_host, local.auth_domain])

  depends_on = [time_sleep.apis]
}

locals {
  # Settings for which the provider has no argument (as of 7.45). min_password_length equals accounts.MinPassword
  # (settings_test.go compares the two).
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
  token   = ephemeral.google_client_config.this.access_token
  after   = google_identity_platform_config.this.id
}

# Links in mails lead to the client's page, which applies their codes. Google refuses this setting in some projects, in
# which the links lead to Google's own page (infra/RUNBOOK.md, "Mails to users"); everything else works there, too.
locals {
  identity_mail = { notification = { sendEmail = { callbackUri = "${local.hosted_url}/mail" } } }
}

module "identity_mail" {
  source = "./modules/call"

  method  = "PATCH"
  url     = "https://identitytoolkit.googleapis.com/admin/v2/projects/${var.project}/config?updateMask=notification.sendEmail.callbackUri"
  body    = jsonencode(local.identity_mail)
  project = var.project
  token   = ephemeral.google_client_config.this.access_token
  after   = google_identity_platform_config.this.id
  accept  = "EMAIL_TEMPLATE_UPDATE_NOT_ALLOWED"

  # Both calls change the same object.
  depends_on = [module.identity_extras]
}

# The name of a deleted key stays reserved for 30 days, so a new key needs a new name. To rotate the key, replace this
# resource and not the key: -replace=random_id.web_key.
resource "random_id" "web_key" {
  byte_length = 4
}

# The key is public by nature: it identifies the project, not the caller. It gives access only to the two APIs for
# signing in.
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

  # To rotate the key, create the new one, serve it, then delete the old one.
  lifecycle {
    create_before_destroy = true
  }

  depends_on = [time_sleep.apis]
}

# A deleted role can be restored for 7 days, and its name stays reserved for 30 more. An apply after a destroy needs a
# new name.
resource "random_id" "accounts_role" {
  byte_length = 4
}

# The functions signup and admin may create, read, change and delete accounts, but not change how sign-in is configured.
resource "google_project_iam_custom_role" "accounts" {
  role_id     = "chatAccounts_${random_id.accounts_role.hex}"
  title       = "Chat: accounts"
  description = "Create, read, change and delete the accounts of users."
  permissions = [
    "firebaseauth.users.create",
    "firebaseauth.users.delete",
    "firebaseauth.users.get",
    "firebaseauth.users.update",
  ]

  depends_on = [time_sleep.apis]
}

resource "random_id" "own_account_role" {
  byte_length = 4
}

# The function me changes and deletes the account of its caller, but creates none.
resource "google_project_iam_custom_role" "own_account" {
  role_id     = "chatOwnAccount_${random_id.own_account_role.hex}"
  title       = "Chat: own account"
  description = "Read, change and delete the accounts of users."
  permissions = [
    "firebaseauth.users.delete",
    "firebaseauth.users.get",
    "firebaseauth.users.update",
  ]

  depends_on = [time_sleep.apis]
}
