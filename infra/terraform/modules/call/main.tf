# A call of a Google API for which the provider has no resource. It is repeated when its arguments change. It is a
# module, so that tests can leave it out.

terraform {
  required_version = ">= 1.11"
}

variable "method" {
  description = "HTTP method, such as \"PATCH\"."
  type        = string
  nullable    = false
}

variable "url" {
  description = "URL of the call."
  type        = string
  nullable    = false
}

variable "body" {
  description = "JSON body of the call. If empty, the call has none."
  type        = string
  default     = ""
  nullable    = false
}

variable "project" {
  description = "Project to which the call is attributed."
  type        = string
  nullable    = false
}

variable "token" {
  description = "Access token of the person who applies. It is ephemeral, so neither the state nor a plan file contains it."
  type        = string
  nullable    = false
  ephemeral   = true
}

variable "after" {
  description = "Id of a resource that must exist before the call. The call is repeated when the id changes."
  type        = string
  nullable    = false
}

variable "accept" {
  description = "Text of an error with which the call may be refused. It then counts as done, with a warning. If empty, every error is one."
  type        = string
  default     = ""
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
      ACCEPT  = var.accept
    }
  }
}
