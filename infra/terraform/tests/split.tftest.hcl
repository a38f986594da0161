# An apply after the pipeline or a rollback has pinned a revision.

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

variables {
  project = "acme-chat"
}

# Puts a service into the state whose traffic was changed by gcloud: an old revision is pinned.
run "pinned" {
  state_key = "pinned"

  module {
    source = "./tests/pinned"
  }

  override_resource {
    target = google_cloud_run_v2_service.realtime
    values = {
      urls                  = ["https://chat-123456789012.europe-west1.run.app"]
      latest_ready_revision = "projects/acme-chat/locations/europe-west1/services/chat/revisions/chat-00002-new"
      traffic_statuses = [
        { percent = 100, revision = "chat-00001-old", tag = "", type = "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION", uri = "" },
        { percent = 0, revision = "", tag = "next", type = "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST", uri = "" },
      ]
    }
  }
}

# The APIs are not in that state, as if an upgrade needed more of them. The project's number must be known nevertheless.
# Otherwise the plan would replace resources that do not change.
run "number_does_not_wait_for_apis" {
  command   = plan
  state_key = "pinned"

  expect_failures = [check.newest_revision_serves]

  assert {
    condition     = data.google_project.this.number == "123456789012"
    error_message = "The number must be known in the plan."
  }
}

# The apply by hand changes settings of the same service. It must not move the traffic, and its warning must name the
# command that does (check.newest_revision_serves).
run "apply_by_hand" {
  state_key = "pinned"

  variables {
    log_level = "debug"
  }

  expect_failures = [check.newest_revision_serves]

  assert {
    condition = [for t in google_cloud_run_v2_service.realtime.traffic : [t.type, t.percent, t.revision == "chat-00001-old", t.tag == "next"]] == [
      ["TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION", 100, true, false],
      ["TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST", 0, false, true],
    ]
    error_message = "The pinned revision must keep all traffic."
  }

  assert {
    condition     = output.serving_revision == "chat-00001-old"
    error_message = "serving_revision is ${output.serving_revision}"
  }

  assert {
    condition     = one([for e in google_cloud_run_v2_service.realtime.template[0].containers[0].env : e.value if e.name == "LOG_LEVEL"]) == "debug"
    error_message = "The apply must change the service."
  }
}
