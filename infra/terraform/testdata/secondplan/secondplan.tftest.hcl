# Applies and plans again with the real provider, against Google's APIs as google_test.go has them (TestSecondPlan). At
# the end, Terraform destroys everything.

mock_provider "google-beta" {
  source = "./tests/mocks/beta"
}
mock_provider "random" {}
mock_provider "time" {}

# These modules call Google from the machine that applies, or read the sources.
override_module {
  target = module.build
  outputs = {
    image = "europe-west1-docker.pkg.dev/acme-chat/chat/realtime@sha256:1111111111111111111111111111111111111111111111111111111111111111"
  }
}

override_module {
  target = module.identity_extras
}

override_module {
  target = module.identity_mail
}

override_module {
  target = module.resource_manager
}

override_module {
  target = module.archive
  outputs = {
    path   = "versions.tf"
    sha256 = "0000000000000000000000000000000000000000000000000000000000000000"
  }
}

# The default settings, but nothing is deployed yet, and the test destroys everything.
variables {
  project   = "acme-chat"
  keep_code = false
  protect   = false
}

run "default" {}

run "default_again" {
  command = plan
}

# All that the configuration can create, in the project that has the default settings.
run "change" {
  command = plan

  variables {
    domain           = "chat.example.org"
    redis_profile    = "durable"
    redis_shards     = 3
    extra_origins    = ["https://old.example.org"]
    alert_emails     = ["ops@example.org"]
    billing_account  = "0123AB-4567CD-89EF01"
    cost_cap_percent = 300
    pipeline         = true
  }
}

run "everything" {
  variables {
    domain           = "chat.example.org"
    redis_profile    = "durable"
    redis_shards     = 3
    extra_origins    = ["https://old.example.org"]
    alert_emails     = ["ops@example.org"]
    billing_account  = "0123AB-4567CD-89EF01"
    cost_cap_percent = 300
    pipeline         = true
  }
}

run "everything_again" {
  command = plan

  variables {
    domain           = "chat.example.org"
    redis_profile    = "durable"
    redis_shards     = 3
    extra_origins    = ["https://old.example.org"]
    alert_emails     = ["ops@example.org"]
    billing_account  = "0123AB-4567CD-89EF01"
    cost_cap_percent = 300
    pipeline         = true
  }
}

# Back to the default settings: Google refuses to delete what something else still uses.
run "back" {}
