# SPDX-License-Identifier: Apache-2.0
# Without a default is what only you can know. production.tfvars.example has all of it.

variable "name" {
  description = "Begins the names of all things, as bucket names are unique among all buckets there are."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,20}$", var.name))
    error_message = "Write small letters, digits and -, 21 at most."
  }
}

variable "environment" {
  description = "Which deployment this is, such as production or development."
  type        = string

  validation {
    condition     = contains(["production", "development", "drill"], var.environment)
    error_message = "Write production, development or drill."
  }
}

variable "region" {
  description = "Where the lake is."
  type        = string
}

variable "second_region" {
  description = "Where copies are; another one than region."
  type        = string

  validation {
    condition     = var.second_region != var.region
    error_message = "A copy in the same region is lost with it. Name another region."
  }
}

variable "definitions" {
  description = "The folder of definitions; default missions/ of this checkout."
  type        = string
  default     = null
}

variable "file_by_instrument" {
  description = "Also make a bucket for each instrument, where [filing] of receive.toml puts what has come."
  type        = bool
  default     = false
}

variable "image" {
  description = "The image with your settings in it, by its digest: see docs/how-to/run-on-aws.md."
  type        = string

  validation {
    condition     = can(regex("@sha256:[0-9a-f]{64}$", var.image))
    error_message = "Name the image by its digest, ...@sha256:..., so that what runs is what was tested."
  }
}

variable "image_repository_arn" {
  description = "ARN of the repository that the image is pulled from."
  type        = string
}

variable "vpc_id" {
  description = "The network that tasks run in."
  type        = string
}

variable "subnet_ids" {
  description = "Private subnets of that network, with a way out to S3 and to those who get data."
  type        = list(string)
}

variable "egress_ports" {
  description = "Ports that tasks may reach anywhere: SFTP and HTTPS; add 587 for alerts by e-mail."
  type        = list(number)
  default     = [22, 443]
}

variable "forward_port" {
  description = "Where subscribers of packets connect."
  type        = number
  default     = 7411
}

variable "forward_clients" {
  description = "Addresses (CIDR) that may connect there; nobody by default."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for cidr in var.forward_clients : try(tonumber(split("/", cidr)[1]) >= 16, false)])
    error_message = "Name networks of at most /16; the whole internet is no subscriber."
  }
}

variable "secrets" {
  description = "Secrets for a task by the name of the variable that its settings refer to: ARNs, never values."
  type        = map(map(string))
  default     = {}

  validation {
    condition     = alltrue([for task in values(var.secrets) : alltrue([for arn in values(task) : startswith(arn, "arn:")])])
    error_message = "Give ARNs of Secrets Manager; a secret itself would be kept in the state."
  }
}

variable "secrets_key_arns" {
  description = "Keys that these secrets are encrypted with, if they are not the account's own."
  type        = list(string)
  default     = []
}

variable "teams" {
  description = "Who copies products to a disk of his own: name and the ARN of the role or user that does it."
  type        = map(string)
  default     = {}
}

variable "publishers" {
  description = "Who sends telemetry: mission and the ARN of the role or user that does it."
  type        = map(string)
  default     = {}
}

variable "analysts" {
  description = "ARNs of those who may read tables and products."
  type        = list(string)
  default     = []
}

variable "alarm_emails" {
  description = "Who is told of alarms and of the budget."
  type        = list(string)

  validation {
    condition     = length(var.alarm_emails) > 0
    error_message = "An alarm that nobody hears is none. Name somebody."
  }
}

variable "monthly_budget_usd" {
  description = "What a month may cost, in USD."
  type        = number
}

variable "log_days" {
  description = "How long logs of tasks are kept."
  type        = number
  default     = 400
}

variable "archive_lock_days" {
  description = "For how long nobody can delete or change what is in the archive of the second region."
  type        = number
  default     = 365
}

variable "night_schedule" {
  description = "When the night begins, in UTC."
  type        = string
  default     = "cron(0 1 * * ? *)"
}
