# All resources, including the functions' archive. The Go tests read the state of this run and check what an assertion
# cannot express, such as that there are no other grants.

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

variables {
  project         = "acme-chat"
  pipeline        = true
  keep_code       = false # nothing is deployed yet
  extra_origins   = ["https://old.example.org"]
  push_services   = ["push.example.org"]
  alert_emails    = ["ops@example.org"]
  billing_account = "0123AB-4567CD-89EF01"
}

run "everything" {
  assert {
    condition     = output.hosted_url == "https://chat-123456789012.europe-west1.run.app"
    error_message = "hosted_url is ${output.hosted_url}"
  }
}
