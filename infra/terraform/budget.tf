# A budget, if a billing account is given. Mails are sent to the addresses of the alerts and to the administrators of
# the billing account. No service is switched off unless there is a cost cap (cap.tf).

resource "google_project_service" "budgets" {
  for_each = var.billing_account == "" ? toset([]) : toset(["billingbudgets.googleapis.com", "cloudbilling.googleapis.com"])

  project            = var.project
  service            = each.key
  disable_on_destroy = false

  depends_on = [module.resource_manager]
}

# The same delay as in project.tf.
resource "time_sleep" "budgets" {
  count = var.billing_account == "" ? 0 : 1

  create_duration = "60s"

  depends_on = [google_project_service.budgets]
}

resource "google_billing_budget" "this" {
  count = var.billing_account == "" ? 0 : 1

  billing_account = var.billing_account
  display_name    = "Chat: ${var.project}"

  budget_filter {
    projects = ["projects/${local.number}"]
  }

  amount {
    specified_amount {
      units = tostring(var.monthly_budget)
    }
  }

  dynamic "threshold_rules" {
    for_each = [0.5, 0.9, 1.0]
    content {
      threshold_percent = threshold_rules.value
    }
  }
  threshold_rules {
    threshold_percent = 1.0
    spend_basis       = "FORECASTED_SPEND"
  }

  all_updates_rule {
    monitoring_notification_channels = [for c in google_monitoring_notification_channel.email : c.id]
    pubsub_topic                     = local.cost_cap ? google_pubsub_topic.budget[0].id : null
    schema_version                   = "1.0"
  }

  depends_on = [time_sleep.budgets]
}
