# SPDX-License-Identifier: Apache-2.0

variable "name" {
  description = "The bucket's name, unique among all buckets there are."
  type        = string
}

variable "kms_key_arn" {
  description = "The key that objects are encrypted with; null for the store's own (logs of access can have no other)."
  type        = string
  default     = null
}

variable "log_bucket" {
  description = "The bucket that takes the log of access; null for the one that is it."
  type        = string
  default     = null
}

variable "lock_days" {
  description = "For so many days nobody deletes or changes a version, be it by mistake or by force; 0 for no lock."
  type        = number
  default     = 0
}

variable "transitions" {
  description = "When objects below a prefix move to a cheaper class. Prefixes end in / and do not contain each other."
  type        = list(object({ prefix = string, days = number, class = string }))
  default     = []

  validation {
    condition     = alltrue([for t in var.transitions : endswith(t.prefix, "/")])
    error_message = "A prefix without / at its end also matches its neighbors: l1 matches l1c. Write it with /."
  }
}

variable "expire_days" {
  description = "Objects are deleted after so many days; null for never. For logs alone."
  type        = number
  default     = null
}

variable "noncurrent_days" {
  description = "Versions that were replaced or deleted are kept for so many days."
  type        = number
  default     = 90
}

variable "keep_prefixes" {
  description = "Below these nobody deletes anything, whatever role he has."
  type        = list(string)
  default     = []
}

variable "statements" {
  description = "Further statements of the bucket's policy, as a policy document in JSON; null for none."
  type        = string
  default     = null
}
