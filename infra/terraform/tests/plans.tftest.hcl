# The first plan of a project for three sets of settings. plans_test.go compares what they create with
# testdata/plans.txt.

mock_provider "google" {
  source = "./tests/mocks"
}
mock_provider "google-beta" {
  source = "./tests/mocks/beta"
}
provider "google" {
  alias        = "caller"
  access_token = "a-token"
}
mock_provider "archive" {}
mock_provider "random" {}
mock_provider "time" {}

# These modules call Google from the machine that applies.
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
    path   = "functions.zip"
    sha256 = "3333333333333333333333333333333333333333333333333333333333333333"
  }
}

# The check in realtime.tf reads these, and a test cannot plan with unknown values.
override_resource {
  target          = google_cloud_run_v2_service.realtime
  override_during = plan
  values = {
    urls                  = ["https://chat-123456789012.europe-west1.run.app"]
    latest_ready_revision = "chat-00001-new"
    traffic_statuses      = []
  }
}

variables {
  project = "acme-chat"
}

run "default" {
  command = plan

  assert {
    condition     = output.hosted_url == "https://chat-123456789012.europe-west1.run.app"
    error_message = "hosted_url is ${output.hosted_url}"
  }
}

run "durable" {
  command = plan
  variables {
    redis_profile          = "durable"
    redis_wait_for_replica = true
    alert_emails           = ["ops@example.org"]
    billing_account        = "0123AB-4567CD-89EF01"
  }

  assert {
    condition     = google_redis_cluster.this.replica_count == 1
    error_message = "Each shard must have a replica."
  }
}

run "own_domain" {
  command = plan
  variables {
    domain = "chat.example.org"
  }

  assert {
    condition     = output.hosted_url == "https://chat.example.org"
    error_message = "hosted_url is ${output.hosted_url}"
  }
}
