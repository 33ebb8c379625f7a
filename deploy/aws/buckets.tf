# SPDX-License-Identifier: Apache-2.0
# incoming-<mission>: what the mission operations center sends. lake: all state. public: products for teams.
# replica: raw files, journal and products once more, in the second region. vault: what `swxlake backup run` writes there.

data "aws_iam_policy_document" "access_logs" {
  for_each = toset(["logs", "logs-second"])

  statement {
    sid       = "LogsOfOurBuckets"
    actions   = ["s3:PutObject"]
    resources = ["arn:${local.partition}:s3:::${local.name}-${each.key}/*"]

    principals {
      type        = "Service"
      identifiers = ["logging.s3.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account]
    }

    condition {
      test     = "ArnLike"
      variable = "aws:SourceArn"
      values   = ["arn:${local.partition}:s3:::${local.name}-*"]
    }
  }
}

module "logs" {
  source      = "./bucket"
  name        = "${local.name}-logs"
  statements  = data.aws_iam_policy_document.access_logs["logs"].json
  expire_days = var.log_days
}

module "logs_second" {
  source      = "./bucket"
  providers   = { aws = aws.second }
  name        = "${local.name}-logs-second"
  statements  = data.aws_iam_policy_document.access_logs["logs-second"].json
  expire_days = var.log_days
}

module "incoming" {
  source      = "./bucket"
  for_each    = local.missions
  name        = "${local.name}-incoming-${replace(each.key, "_", "-")}"
  kms_key_arn = aws_kms_key.first.arn
  log_bucket  = module.logs.id
}

module "instrument" {
  source      = "./bucket"
  for_each    = local.instruments
  name        = "${local.name}-${replace(replace(each.key, "_", "-"), "/", "-")}"
  kms_key_arn = aws_kms_key.first.arn
  log_bucket  = module.logs.id
}

module "lake" {
  source        = "./bucket"
  name          = "${local.name}-lake"
  kms_key_arn   = aws_kms_key.first.arn
  log_bucket    = module.logs.id
  keep_prefixes = ["${local.root}/raw/", "${local.root}/journal/"]

  # Raw files are read again when their definition changes, so they stay in a class that answers at once.
  transitions = [
    { prefix = "${local.root}/raw/", days = 90, class = "GLACIER_IR" },
    { prefix = "${local.root}/exports/", days = 365, class = "GLACIER_IR" },
  ]
}

module "public" {
  source      = "./bucket"
  name        = "${local.name}-public"
  kms_key_arn = aws_kms_key.first.arn
  log_bucket  = module.logs.id
}

module "replica" {
  source      = "./bucket"
  providers   = { aws = aws.second }
  name        = "${local.name}-replica"
  kms_key_arn = aws_kms_key.second.arn
  log_bucket  = module.logs_second.id
  lock_days   = var.archive_lock_days

  # Read only when the first region is lost: the cheapest class, whose objects are there after half a day.
  transitions = [
    { prefix = "${local.root}/raw/", days = 30, class = "DEEP_ARCHIVE" },
    { prefix = "${local.root}/exports/", days = 90, class = "DEEP_ARCHIVE" },
  ]
}

module "vault" {
  source      = "./bucket"
  providers   = { aws = aws.second }
  name        = "${local.name}-vault"
  kms_key_arn = aws_kms_key.second.arn
  log_bucket  = module.logs_second.id
  lock_days   = var.archive_lock_days

  # Read back whenever copies are verified, so it answers at once.
  transitions = [{ prefix = "vault/", days = 30, class = "GLACIER_IR" }]
}
