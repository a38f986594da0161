# The chat under its own domain: the load balancer, and what changes for everything that used run.app.

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

run "own_domain" {
  variables {
    domain        = "chat.example.org"
    extra_origins = ["https://old.example.org"]
  }

  assert {
    condition     = [output.hosted_url, output.http_api_base] == ["https://chat.example.org", "https://chat.example.org/api"]
    error_message = "The pages and the functions must be at ${output.hosted_url} and ${output.http_api_base}."
  }

  assert {
    condition = tomap({ for e in google_cloud_run_v2_service.realtime.template[0].containers[0].env : e.name => e.value
      if contains(["HOSTED_URL", "REALTIME_URL", "API_BASE", "EXTRA_ORIGINS", "INTERNAL_AUDIENCE", "PROXIES"], e.name) }) == tomap({
      HOSTED_URL        = "https://chat.example.org"
      REALTIME_URL      = "wss://chat.example.org/ws"
      API_BASE          = "https://chat.example.org/api"
      EXTRA_ORIGINS     = "https://old.example.org"
      INTERNAL_AUDIENCE = "https://chat-123456789012.europe-west1.run.app"
      PROXIES           = "2"
    })
    error_message = "Browsers must use the domain, and realtime must count the load balancer."
  }

  assert {
    condition = ({ for name in ["HOSTED_URL", "INTERNAL_URL", "INTERNAL_AUDIENCE", "PROXIES"] : name => local.function_settings[name] } == {
      HOSTED_URL        = "https://chat.example.org"
      INTERNAL_URL      = "https://chat.example.org"
      INTERNAL_AUDIENCE = "https://chat-123456789012.europe-west1.run.app"
      PROXIES           = "2"
    })
    error_message = "The functions must call realtime through the load balancer, with tokens for the audience that realtime expects."
  }

  assert {
    condition = (google_cloud_run_v2_service.realtime.ingress == "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER" &&
    local.functions.ingress == "ALLOW_INTERNAL_AND_GCLB")
    error_message = "The run.app and cloudfunctions.net addresses must be closed."
  }

  assert {
    condition     = google_monitoring_uptime_check_config.ready.monitored_resource[0].labels.host == "chat.example.org"
    error_message = "The uptime check must use the public host name."
  }

  assert {
    condition     = contains(google_identity_platform_config.this.authorized_domains, "chat.example.org")
    error_message = "Links in mails must be allowed to return to the domain."
  }

  # Pub/Sub pushes to the run.app address of persist, and counts as internal.
  assert {
    condition     = google_pubsub_subscription.persist.push_config[0].push_endpoint == "${module.persist.uri}/projects/acme-chat/topics/delivery-acks"
    error_message = "The push must not use the domain, because persist is not behind the load balancer: ${google_pubsub_subscription.persist.push_config[0].push_endpoint}"
  }

  assert {
    condition = toset(keys(google_compute_backend_service.domain)) == toset(["chat", "chat-next", "chat-assets", "chat-signup",
    "chat-users", "chat-conversations", "chat-messages", "chat-me", "chat-admin"])
    error_message = "Realtime and the six functions of browsers must be behind the load balancer, and persist must not."
  }

  assert {
    condition = (alltrue([for b in google_compute_backend_service.domain : b.load_balancing_scheme == "EXTERNAL_MANAGED"]) &&
    alltrue([for name, b in google_compute_backend_service.domain : one(b.backend).group == google_compute_region_network_endpoint_group.domain[name].id]))
    error_message = "Each backend service must have its own endpoint group."
  }

  # Google refuses the argument for serverless backends.
  assert {
    condition     = alltrue([for b in google_compute_backend_service.domain : b.health_checks == null])
    error_message = "A serverless backend has no health check."
  }

  assert {
    condition     = [for name, b in google_compute_backend_service.domain : name if b.enable_cdn] == ["chat-assets"]
    error_message = "Only assets may be cached."
  }

  assert {
    condition = (google_compute_backend_service.domain["chat-assets"].cdn_policy[0].cache_mode == "USE_ORIGIN_HEADERS" &&
    google_compute_backend_service.domain["chat-assets"].cdn_policy[0].cache_key_policy[0].include_host)
    error_message = "Realtime must decide what is cached, and for how long."
  }

  assert {
    condition = ([for name, g in google_compute_region_network_endpoint_group.domain : name if g.cloud_run[0].service == "chat"] == ["chat", "chat-assets", "chat-next"] &&
    [for name, g in google_compute_region_network_endpoint_group.domain : name if g.cloud_run[0].tag != null] == ["chat-next"])
    error_message = "Only requests with the header may reach a revision without traffic."
  }

  assert {
    condition = (one([for r in google_compute_security_policy.domain["signup"].rule : r if r.priority == 1000]).rate_limit_options[0].rate_limit_threshold[0].count == 60 &&
      one([for r in google_compute_security_policy.domain["sockets"].rule : r if r.priority == 1000]).match[0].expr[0].expression == "request.path == '/ws'" &&
      alltrue([for p in google_compute_security_policy.domain : one([for r in p.rule : r if r.priority == 1000]).rate_limit_options[0].enforce_on_key == "IP"]) &&
    alltrue([for p in google_compute_security_policy.domain : one([for r in p.rule : r if r.priority == 1000]).action == "throttle"]))
    error_message = "Sign-ups and sockets from one address must be limited."
  }

  assert {
    condition = { for name, b in google_compute_backend_service.domain : name => b.security_policy if b.security_policy != null } == {
      chat        = google_compute_security_policy.domain["sockets"].id
      chat-next   = google_compute_security_policy.domain["sockets"].id
      chat-signup = google_compute_security_policy.domain["signup"].id
    }
    error_message = "The limits must be in front of realtime and of signup."
  }

  # A client can send these headers, and realtime could believe them.
  assert {
    condition = ({ for h in google_compute_url_map.domain[0].header_action[0].request_headers_to_add : h.header_name => [h.header_value, h.replace] } ==
    { X-Client-Region = ["{client_region}", true], X-Client-City = ["{client_city}", true] })
    error_message = "The load balancer must replace what a client says about its place."
  }

  assert {
    condition = ([for r in google_compute_url_map.domain[0].path_matcher[0].route_rules :
      "${one(r.match_rules).prefix_match} ${join(",", [for h in one(r.match_rules).header_matches : "${h.header_name}=${h.exact_match}"])} ${r.service == google_compute_backend_service.domain["chat-next"].id}"
      if length(r.route_action) == 0] ==
    ["/ Chat-Revision=next true", "/assets/  false"])
    error_message = "Only two rules may forward the path as it is."
  }

  assert {
    condition = ({ for r in google_compute_url_map.domain[0].path_matcher[0].route_rules : one(r.match_rules).prefix_match => r.service
      if length(r.route_action) > 0 && try(r.route_action[0].url_rewrite[0].path_prefix_rewrite, "") == "/" } ==
      merge([for name in ["signup", "users", "conversations", "messages", "me", "admin"] : {
        "/api/${name}"  = google_compute_backend_service.domain["chat-${name}"].id
        "/api/${name}/" = google_compute_backend_service.domain["chat-${name}"].id
    }]...))
    error_message = "Each function must get the path below its name."
  }

  # "/api/me" is also a prefix of "/api/messages".
  assert {
    condition = alltrue(flatten([for a in google_compute_url_map.domain[0].path_matcher[0].route_rules : [
      for b in google_compute_url_map.domain[0].path_matcher[0].route_rules : a.priority < b.priority
      if startswith(one(a.match_rules).prefix_match, one(b.match_rules).prefix_match) && one(a.match_rules).prefix_match != one(b.match_rules).prefix_match && startswith(one(b.match_rules).prefix_match, "/api/")
    ]]))
    error_message = "A rule with a longer prefix must come first."
  }

  assert {
    condition = (google_compute_url_map.domain[0].path_matcher[0].default_service == google_compute_backend_service.domain["chat"].id &&
      one(google_compute_url_map.domain[0].host_rule).hosts == toset(["chat.example.org"]) &&
    google_compute_url_map.domain[0].default_url_redirect[0].host_redirect == "chat.example.org")
    error_message = "Other host names must not reach a service."
  }

  assert {
    condition = (google_compute_url_map.redirect[0].default_url_redirect[0].https_redirect &&
      google_compute_global_forwarding_rule.http[0].port_range == "80" && google_compute_global_forwarding_rule.https[0].port_range == "443" &&
      google_compute_global_forwarding_rule.http[0].target == google_compute_target_http_proxy.redirect[0].id &&
      google_compute_global_forwarding_rule.https[0].target == google_compute_target_https_proxy.domain[0].id &&
    google_compute_global_forwarding_rule.http[0].ip_address == google_compute_global_forwarding_rule.https[0].ip_address)
    error_message = "The port 80 must redirect to the port 443 of the same address."
  }

  assert {
    condition = (one(google_compute_managed_ssl_certificate.domain[0].managed).domains == tolist(["chat.example.org"]) &&
      output.load_balancer_certificate == google_compute_managed_ssl_certificate.domain[0].name &&
      output.load_balancer_dns == {
        name  = "chat.example.org."
        type  = "A"
        value = "203.0.113.10"
    })
    error_message = "The outputs must name the certificate and the DNS record."
  }

  assert {
    condition = (google_compute_target_https_proxy.domain[0].ssl_policy == google_compute_ssl_policy.domain[0].id &&
    google_compute_ssl_policy.domain[0].min_tls_version == "TLS_1_2" && google_compute_ssl_policy.domain[0].profile == "MODERN")
    error_message = "Browsers must not be able to use a version of TLS that is broken."
  }

  # Behind the load balancer, a header chooses the revision (domain_test.go).
  assert {
    condition     = output.next_url == "https://chat.example.org"
    error_message = "next_url is ${output.next_url}"
  }
}

run "pipeline_and_another_domain" {
  command = plan
  variables {
    domain    = "talk.example.org"
    pipeline  = true
    keep_code = false
  }

  assert {
    condition     = alltrue([for role in ["roles/compute.loadBalancerAdmin", "roles/compute.securityAdmin"] : contains(keys(google_project_iam_member.deploy), role)])
    error_message = "The pipeline must be able to change the load balancer, its certificate and its limits."
  }

  assert {
    condition     = google_compute_managed_ssl_certificate.domain[0].name != "chat-${substr(sha256("chat.example.org"), 0, 8)}"
    error_message = "The certificate of a new domain exists beside the old one, so it needs another name."
  }
}

# The DNS record and the certificate are not ready yet.
run "before_the_move" {
  variables {
    domain       = "chat.example.org"
    keep_run_app = true
  }

  assert {
    condition     = output.load_balancer_dns.value == "203.0.113.10" && length(google_compute_global_forwarding_rule.https) == 1
    error_message = "The load balancer must exist, so that Google can issue the certificate."
  }

  assert {
    condition = (output.hosted_url == "https://chat-123456789012.europe-west1.run.app" &&
      output.next_url == "https://next---chat-123456789012.europe-west1.run.app" &&
      google_cloud_run_v2_service.realtime.ingress == "INGRESS_TRAFFIC_ALL" && local.functions.ingress == "ALLOW_ALL" &&
    google_monitoring_uptime_check_config.ready.monitored_resource[0].labels.host == "chat-123456789012.europe-west1.run.app")
    error_message = "The chat must still be served at its run.app address."
  }

  # Clients still reach the services directly. With 2, they could choose their address.
  assert {
    condition = (one([for e in google_cloud_run_v2_service.realtime.template[0].containers[0].env : e.value if e.name == "PROXIES"]) == "1" &&
    local.function_settings.PROXIES == "1")
    error_message = "Only Cloud Run's front end may be trusted."
  }
}
