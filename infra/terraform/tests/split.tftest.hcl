# The state while the pipeline tests a new revision.

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

# The pipeline reads the serving revision from the state, even if an earlier run left a new revision untested.
run "serving_revision_of_a_split" {
  variables {
    serving_revision = "chat-00001-old"
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

  assert {
    condition     = output.serving_revision == "chat-00001-old"
    error_message = "serving_revision is ${output.serving_revision}"
  }
}
