# One call of a Google API for which the provider has no resource, made again whenever
# what it says changes. A module, so that tests can leave it out.

terraform {
  required_version = ">= 1.11"
}

variable "method" {
  description = "HTTP method, such as \"PATCH\"."
  type        = string
  nullable    = false
}

variable "url" {
  description = "What is called."
  type        = string
  nullable    = false
}

variable "body" {
  description = "What is sent, as JSON."
  type        = string
  nullable    = false
}

variable "project" {
  description = "Project that the call is counted on."
  type        = string
  nullable    = false
}

variable "token" {
  description = "Access token of whoever applies. It reaches the call only, neither state nor log."
  type        = string
  nullable    = false
  sensitive   = true
}

variable "after" {
  description = "Id of what must exist before, and with which the call is repeated when it is made anew."
  type        = string
  nullable    = false
}

resource "terraform_data" "this" {
  triggers_replace = [var.method, var.url, var.body, var.after]

  provisioner "local-exec" {
    interpreter = ["bash"]
    command     = "${path.module}/../../../pipeline/rest"
    environment = {
      METHOD  = var.method
      URL     = var.url
      BODY    = var.body
      PROJECT = var.project
      TOKEN   = var.token
    }
  }
}
