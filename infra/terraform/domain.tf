# The chat under its own domain (var.domain): an external Application Load Balancer in front of realtime and of the HTTP
# functions. Without a domain, nothing in this file exists.
#
#   https://DOMAIN/api/NAME/…   the function NAME, which gets the path below /api/NAME
#   https://DOMAIN/assets/…     realtime, through the cache: names of assets contain a hash of their content
#   https://DOMAIN/…            realtime: pages, sockets and the internal routes
#   http://DOMAIN/…             a redirect to https
#
# Once the domain serves (local.domain_serves), Cloud Run accepts requests only from the load balancer and from Google's
# own services in this project, such as Pub/Sub's push to persist. Everything else uses the domain as well: the
# functions' calls of realtime's internal routes, the uptime check, and the smoke test of a revision without traffic.
# https://cloud.google.com/run/docs/securing/ingress

locals {
  has_domain = var.domain == "" ? 0 : 1

  # With keep_run_app, the load balancer exists, but the chat is still served at its run.app address.
  domain_serves = var.domain != "" && !var.keep_run_app

  # Both services count so many entries of X-Forwarded-For from the right. Cloud Run's own front end appends the address
  # of the client. The load balancer appends that address and its own, and Cloud Run adds none. The entries before them
  # are written by the client and are ignored.
  # https://cloud.google.com/load-balancing/docs/https#x-forwarded-for_header
  proxies = local.domain_serves ? 2 : 1

  # The header in which the load balancer sends a rough place of the client, for the list of a user's devices. It replaces
  # one that the client has sent. Cloud Run alone supplies no place, and then no header is trusted.
  # https://cloud.google.com/load-balancing/docs/https/custom-headers
  place_header = local.domain_serves ? "X-Client-Place" : ""

  # The functions that browsers call.
  public_functions = {
    signup        = module.signup.name
    users         = module.users.name
    conversations = module.conversations.name
    messages      = module.messages.name
    me            = module.me.name
    admin         = module.admin.name
  }

  # The prefixes of the functions' paths. A prefix comes before all that it begins with, because the first rule that
  # matches wins: /api/me/, /api/messages, /api/me.
  function_prefixes = reverse(sort(flatten([for name in keys(local.public_functions) : ["/api/${name}", "/api/${name}/"]])))

  # The backend services. A serverless backend has no timeout of its own: a socket may last as long as Cloud Run allows.
  backends = { for name, backend in merge(
    {
      # The pages, the sockets and the internal routes.
      chat = { service = google_cloud_run_v2_service.realtime.name, tag = null, cdn = false, limit = "sockets" }

      # The newest revision, which may not have any traffic yet.
      chat-next = { service = google_cloud_run_v2_service.realtime.name, tag = "next", cdn = false, limit = "sockets" }

      # Only files whose names contain a hash. They never change, so no copy in the cache can be out of date.
      chat-assets = { service = google_cloud_run_v2_service.realtime.name, tag = null, cdn = true, limit = null }
    },
    { for name, service in local.public_functions : "chat-${name}" => {
      service = service, tag = null, cdn = false, limit = name == "signup" ? "signup" : null
    } },
  ) : name => backend if var.domain != "" }

  # How many requests one address may make in a minute. The limits refuse a flood before it starts an instance. The
  # services have limits of their own for users and networks, which are lower (DESIGN §8).
  address_limits = { for name, limit in {
    sockets = {
      description = "Sockets that one address may open in a minute: enough for an office that reconnects."
      expression  = "request.path == '/ws'"
      count       = 600
    }
    signup = {
      description = "Sign-ups that one address may try in a minute: twice those that are allowed in an hour."
      expression  = "request.method == 'POST'"
      count       = 2 * var.signups_hourly
    }
  } : name => limit if var.domain != "" }

  # A certificate cannot be changed, so a new domain needs a new name.
  certificate_name = "chat-${substr(sha256(var.domain), 0, 8)}"

  # A request with this header goes to the newest revision (infra/pipeline/smoke). Every client may send it: the newest
  # revision checks the same tokens and has the same limits as the one that serves.
  revision_header = "Chat-Revision"
}

resource "google_compute_global_address" "domain" {
  count = local.has_domain

  name        = "chat"
  description = "Address of the chat's own domain."

  depends_on = [time_sleep.apis]
}

# Google issues and renews it as soon as the domain's DNS record has the address.
resource "google_compute_managed_ssl_certificate" "domain" {
  count = local.has_domain

  name = local.certificate_name
  managed {
    domains = [var.domain]
  }

  # The load balancer must switch to the new certificate before the old one can be deleted.
  lifecycle {
    create_before_destroy = true
  }

  depends_on = [time_sleep.apis]
}

resource "google_compute_ssl_policy" "domain" {
  count = local.has_domain

  name            = "chat"
  profile         = "MODERN"
  min_tls_version = "TLS_1_2"

  depends_on = [time_sleep.apis]
}

resource "google_compute_security_policy" "domain" {
  for_each = local.address_limits

  name        = "chat-${each.key}"
  description = each.value.description

  rule {
    priority    = 1000
    description = each.value.description
    action      = "throttle"
    match {
      expr {
        expression = each.value.expression
      }
    }
    rate_limit_options {
      conform_action = "allow"
      exceed_action  = "deny(429)"
      enforce_on_key = "IP"
      rate_limit_threshold {
        count        = each.value.count
        interval_sec = 60
      }
    }
  }

  # Every policy has a rule with this priority, which applies if no other does.
  rule {
    priority    = 2147483647
    description = "All other requests."
    action      = "allow"
    match {
      versioned_expr = "SRC_IPS_V1"
      config {
        src_ip_ranges = ["*"]
      }
    }
  }

  depends_on = [time_sleep.apis]
}

resource "google_compute_region_network_endpoint_group" "domain" {
  for_each = local.backends

  name                  = each.key
  region                = var.region
  network_endpoint_type = "SERVERLESS"

  cloud_run {
    service = each.value.service
    tag     = each.value.tag
  }
}

resource "google_compute_backend_service" "domain" {
  for_each = local.backends

  name                  = each.key
  load_balancing_scheme = "EXTERNAL_MANAGED"
  security_policy       = each.value.limit == null ? null : google_compute_security_policy.domain[each.value.limit].id

  custom_request_headers = local.place_header == "" ? [] : ["${local.place_header}:{client_city}, {client_region}"]

  backend {
    group = google_compute_region_network_endpoint_group.domain[each.key].id
  }

  # Realtime's own Cache-Control decides, so an answer that says nothing, such as 404, is not kept.
  enable_cdn = each.value.cdn
  dynamic "cdn_policy" {
    for_each = each.value.cdn ? [true] : []
    content {
      cache_mode = "USE_ORIGIN_HEADERS"
      cache_key_policy {
        include_host         = true
        include_protocol     = true
        include_query_string = false
      }
    }
  }
}

resource "google_compute_url_map" "domain" {
  count = local.has_domain

  name        = "chat"
  description = "Which service answers which path of the chat."

  # Scanners that call the address instead of the domain.
  default_url_redirect {
    host_redirect          = var.domain
    https_redirect         = true
    redirect_response_code = "FOUND"
    strip_query            = false
  }

  # Where the client is, as far as Google knows. Each header replaces the one that a client sends. Nothing in the chat
  # reads them yet. Without a domain nobody replaces them, so a reader must ignore them then.
  header_action {
    request_headers_to_add {
      header_name  = "X-Client-Region"
      header_value = "{client_region}"
      replace      = true
    }
    request_headers_to_add {
      header_name  = "X-Client-City"
      header_value = "{client_city}"
      replace      = true
    }
  }

  host_rule {
    hosts        = [var.domain]
    path_matcher = "chat"
  }

  path_matcher {
    name            = "chat"
    default_service = google_compute_backend_service.domain["chat"].id

    # A function gets the path below its own name, as on cloudfunctions.net. The rewrite replaces the prefix that
    # matched, so a path that ends with the name needs a rule without the slash.
    dynamic "route_rules" {
      for_each = local.function_prefixes
      content {
        priority = 10 + route_rules.key
        service  = google_compute_backend_service.domain["chat-${split("/", route_rules.value)[2]}"].id
        match_rules {
          prefix_match = route_rules.value
        }
        route_action {
          url_rewrite {
            path_prefix_rewrite = "/"
          }
        }
      }
    }

    route_rules {
      priority = 50
      service  = google_compute_backend_service.domain["chat-next"].id
      match_rules {
        prefix_match = "/"
        header_matches {
          header_name = local.revision_header
          exact_match = "next"
        }
      }
    }

    route_rules {
      priority = 60
      service  = google_compute_backend_service.domain["chat-assets"].id
      match_rules {
        prefix_match = "/assets/"
      }
    }
  }
}

resource "google_compute_target_https_proxy" "domain" {
  count = local.has_domain

  name             = "chat"
  url_map          = google_compute_url_map.domain[0].id
  ssl_certificates = [google_compute_managed_ssl_certificate.domain[0].id]
  ssl_policy       = google_compute_ssl_policy.domain[0].id
}

resource "google_compute_global_forwarding_rule" "https" {
  count = local.has_domain

  name                  = "chat-https"
  load_balancing_scheme = "EXTERNAL_MANAGED"
  ip_address            = google_compute_global_address.domain[0].id
  port_range            = "443"
  target                = google_compute_target_https_proxy.domain[0].id
}

resource "google_compute_url_map" "redirect" {
  count = local.has_domain

  name        = "chat-redirect"
  description = "From http to https."

  default_url_redirect {
    https_redirect         = true
    redirect_response_code = "MOVED_PERMANENTLY_DEFAULT"
    strip_query            = false
  }

  depends_on = [time_sleep.apis]
}

resource "google_compute_target_http_proxy" "redirect" {
  count = local.has_domain

  name    = "chat-redirect"
  url_map = google_compute_url_map.redirect[0].id
}

resource "google_compute_global_forwarding_rule" "http" {
  count = local.has_domain

  name                  = "chat-http"
  load_balancing_scheme = "EXTERNAL_MANAGED"
  ip_address            = google_compute_global_address.domain[0].id
  port_range            = "80"
  target                = google_compute_target_http_proxy.redirect[0].id
}

output "load_balancer_dns" {
  description = "DNS record that the domain needs. Null without a domain."
  value = var.domain == "" ? null : {
    name  = "${var.domain}."
    type  = "A"
    value = google_compute_global_address.domain[0].address
  }
}

output "load_balancer_certificate" {
  description = "Name of the domain's certificate. Null without a domain."
  value       = var.domain == "" ? null : google_compute_managed_ssl_certificate.domain[0].name
}
