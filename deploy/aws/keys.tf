# SPDX-License-Identifier: Apache-2.0
# One key in each region for data, and one for what topics say. Who may use them is said by the roles; a key lets this
# account's roles be the judge of that. Not every service that publishes says for which account it does so, so their key
# protects names of files and texts of alarms alone; who may publish is said by the topics.

locals {
  key_users = {
    first  = []
    second = []
    topics = ["cloudwatch.amazonaws.com", "events.amazonaws.com", "budgets.amazonaws.com", "s3.amazonaws.com"]
  }
}

data "aws_iam_policy_document" "key" {
  for_each = local.key_users

  statement {
    sid = "RolesOfThisAccount"
    actions = [
      "kms:CancelKeyDeletion", "kms:CreateGrant", "kms:Decrypt", "kms:DescribeKey", "kms:DisableKey",
      "kms:EnableKey", "kms:EnableKeyRotation", "kms:Encrypt", "kms:GenerateDataKey", "kms:GetKeyPolicy",
      "kms:GetKeyRotationStatus", "kms:ListGrants", "kms:ListResourceTags", "kms:PutKeyPolicy",
      "kms:ReEncryptFrom", "kms:ReEncryptTo", "kms:RevokeGrant", "kms:ScheduleKeyDeletion", "kms:TagResource",
      "kms:UntagResource", "kms:UpdateKeyDescription",
    ]
    resources = ["*"] # in the policy of a key this is the key

    principals {
      type        = "AWS"
      identifiers = ["arn:${local.partition}:iam::${local.account}:root"]
    }
  }

  dynamic "statement" {
    for_each = toset(each.value)

    content {
      sid       = "Service${title(split(".", statement.key)[0])}"
      actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
      resources = ["*"] # in the policy of a key this is the key

      principals {
        type        = "Service"
        identifiers = [statement.key]
      }
    }
  }

  statement {
    sid       = "LogGroupsOfThisDeployment"
    actions   = ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey", "kms:ReEncryptFrom", "kms:ReEncryptTo"]
    resources = ["*"] # in the policy of a key this is the key

    principals {
      type        = "Service"
      identifiers = ["logs.${each.key == "second" ? var.second_region : var.region}.amazonaws.com"]
    }

    condition {
      test     = "ArnLike"
      variable = "kms:EncryptionContext:aws:logs:arn"
      values   = ["arn:${local.partition}:logs:*:${local.account}:log-group:/${local.name}/*"]
    }
  }
}

resource "aws_kms_key" "first" {
  description             = "${local.name}: the lake"
  enable_key_rotation     = true
  deletion_window_in_days = 30
  policy                  = data.aws_iam_policy_document.key["first"].json
}

resource "aws_kms_key" "second" {
  provider                = aws.second
  description             = "${local.name}: copies of the lake"
  enable_key_rotation     = true
  deletion_window_in_days = 30
  policy                  = data.aws_iam_policy_document.key["second"].json
}

resource "aws_kms_key" "topics" {
  description             = "${local.name}: what topics say"
  enable_key_rotation     = true
  deletion_window_in_days = 30
  policy                  = data.aws_iam_policy_document.key["topics"].json
}
