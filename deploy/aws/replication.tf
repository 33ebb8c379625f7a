# SPDX-License-Identifier: Apache-2.0
# What cannot be made again, and the products, go to the second region within minutes. Deletions do not.

locals {
  replicated = ["${local.root}/raw/", "${local.root}/journal/", "${local.root}/exports/"]
}

data "aws_iam_policy_document" "replication_trust" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["s3.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account]
    }
  }
}

data "aws_iam_policy_document" "replication" {
  statement {
    sid       = "WhatIsToBeCopied"
    actions   = ["s3:GetReplicationConfiguration", "s3:ListBucket"]
    resources = [module.lake.arn]
  }

  statement {
    sid       = "Read"
    actions   = ["s3:GetObjectVersionForReplication", "s3:GetObjectVersionAcl", "s3:GetObjectVersionTagging"]
    resources = [for prefix in local.replicated : "${module.lake.arn}/${prefix}*"]
  }

  statement {
    sid       = "Write"
    actions   = ["s3:ReplicateObject", "s3:ReplicateTags"]
    resources = [for prefix in local.replicated : "${module.replica.arn}/${prefix}*"]
  }

  statement {
    sid       = "DecryptHere"
    actions   = ["kms:Decrypt"]
    resources = [aws_kms_key.first.arn]
  }

  statement {
    sid       = "EncryptThere"
    actions   = ["kms:Encrypt"]
    resources = [aws_kms_key.second.arn]
  }
}

resource "aws_iam_role" "replication" {
  name               = "${local.name}-replication"
  assume_role_policy = data.aws_iam_policy_document.replication_trust.json
}

resource "aws_iam_role_policy" "replication" {
  name   = "replication"
  role   = aws_iam_role.replication.id
  policy = data.aws_iam_policy_document.replication.json
}

resource "aws_s3_bucket_replication_configuration" "lake" {
  bucket     = module.lake.id
  role       = aws_iam_role.replication.arn
  depends_on = [aws_iam_role_policy.replication]

  dynamic "rule" {
    for_each = { for index, prefix in local.replicated : prefix => index }

    content {
      id       = basename(rule.key)
      priority = rule.value
      status   = "Enabled"

      filter {
        prefix = rule.key
      }

      delete_marker_replication {
        status = "Disabled"
      }

      source_selection_criteria {
        sse_kms_encrypted_objects {
          status = "Enabled"
        }
      }

      destination {
        bucket = module.replica.arn

        encryption_configuration {
          replica_kms_key_id = aws_kms_key.second.arn
        }

        replication_time {
          status = "Enabled"

          time {
            minutes = 15
          }
        }

        metrics {
          status = "Enabled"

          event_threshold {
            minutes = 15
          }
        }
      }
    }
  }
}
