# SPDX-License-Identifier: Apache-2.0
# Events: of what was sent to us, a queue for each mission; of what is public, a topic and a queue for each team.
# A message that was read ten times and never done with goes to a queue of its own, which raises an alarm.

locals {
  visibility_seconds = 900     # longer than landing the largest file takes
  retention_seconds  = 1209600 # 14 days, the longest there is
}

resource "aws_sqs_queue" "incoming_dead" {
  for_each                  = local.missions
  name                      = "${local.name}-incoming-${replace(each.key, "_", "-")}-dead"
  sqs_managed_sse_enabled   = true
  message_retention_seconds = local.retention_seconds
}

resource "aws_sqs_queue" "incoming" {
  for_each                   = local.missions
  name                       = "${local.name}-incoming-${replace(each.key, "_", "-")}"
  sqs_managed_sse_enabled    = true
  receive_wait_time_seconds  = 20
  visibility_timeout_seconds = local.visibility_seconds
  message_retention_seconds  = local.retention_seconds

  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.incoming_dead[each.key].arn
    maxReceiveCount     = 10
  })
}

resource "aws_sqs_queue_redrive_allow_policy" "incoming" {
  for_each  = local.missions
  queue_url = aws_sqs_queue.incoming_dead[each.key].id

  redrive_allow_policy = jsonencode({
    redrivePermission = "byQueue"
    sourceQueueArns   = [aws_sqs_queue.incoming[each.key].arn]
  })
}

data "aws_iam_policy_document" "incoming" {
  for_each = local.missions

  statement {
    sid       = "EventsOfThisBucket"
    actions   = ["sqs:SendMessage"]
    resources = [aws_sqs_queue.incoming[each.key].arn]

    principals {
      type        = "Service"
      identifiers = ["s3.amazonaws.com"]
    }

    condition {
      test     = "ArnEquals"
      variable = "aws:SourceArn"
      values   = [module.incoming[each.key].arn]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account]
    }
  }
}

resource "aws_sqs_queue_policy" "incoming" {
  for_each  = local.missions
  queue_url = aws_sqs_queue.incoming[each.key].id
  policy    = data.aws_iam_policy_document.incoming[each.key].json
}

resource "aws_s3_bucket_notification" "incoming" {
  for_each   = local.missions
  bucket     = module.incoming[each.key].id
  depends_on = [aws_sqs_queue_policy.incoming]

  queue {
    id        = "arrivals"
    queue_arn = aws_sqs_queue.incoming[each.key].arn
    events    = ["s3:ObjectCreated:*"]
  }
}

# ---- products, for teams ---------------------------------------------------------------------------------------------
resource "aws_sns_topic" "products" {
  name              = "${local.name}-products"
  kms_master_key_id = aws_kms_key.topics.id
}

data "aws_iam_policy_document" "products" {
  statement {
    sid       = "EventsOfThePublicBucket"
    actions   = ["sns:Publish"]
    resources = [aws_sns_topic.products.arn]

    principals {
      type        = "Service"
      identifiers = ["s3.amazonaws.com"]
    }

    condition {
      test     = "ArnEquals"
      variable = "aws:SourceArn"
      values   = [module.public.arn]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account]
    }
  }
}

resource "aws_sns_topic_policy" "products" {
  arn    = aws_sns_topic.products.arn
  policy = data.aws_iam_policy_document.products.json
}

resource "aws_s3_bucket_notification" "public" {
  bucket     = module.public.id
  depends_on = [aws_sns_topic_policy.products]

  topic {
    id        = "products"
    topic_arn = aws_sns_topic.products.arn
    events    = ["s3:ObjectCreated:*"]
  }
}

resource "aws_sqs_queue" "team_dead" {
  for_each                  = var.teams
  name                      = "${local.name}-team-${each.key}-dead"
  sqs_managed_sse_enabled   = true
  message_retention_seconds = local.retention_seconds
}

resource "aws_sqs_queue" "team" {
  for_each                   = var.teams
  name                       = "${local.name}-team-${each.key}"
  sqs_managed_sse_enabled    = true
  receive_wait_time_seconds  = 20
  visibility_timeout_seconds = local.visibility_seconds
  message_retention_seconds  = local.retention_seconds

  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.team_dead[each.key].arn
    maxReceiveCount     = 10
  })
}

data "aws_iam_policy_document" "team" {
  for_each = var.teams

  statement {
    sid       = "EventsOfTheTopic"
    actions   = ["sqs:SendMessage"]
    resources = [aws_sqs_queue.team[each.key].arn]

    principals {
      type        = "Service"
      identifiers = ["sns.amazonaws.com"]
    }

    condition {
      test     = "ArnEquals"
      variable = "aws:SourceArn"
      values   = [aws_sns_topic.products.arn]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account]
    }
  }
}

resource "aws_sqs_queue_policy" "team" {
  for_each  = var.teams
  queue_url = aws_sqs_queue.team[each.key].id
  policy    = data.aws_iam_policy_document.team[each.key].json
}

resource "aws_sns_topic_subscription" "team" {
  for_each             = var.teams
  topic_arn            = aws_sns_topic.products.arn
  protocol             = "sqs"
  endpoint             = aws_sqs_queue.team[each.key].arn
  raw_message_delivery = true # as the bucket itself would say it
  depends_on           = [aws_sqs_queue_policy.team]
}
