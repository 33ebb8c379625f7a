# SPDX-License-Identifier: Apache-2.0
# Who may do what: one role for each stage, for those who send to us, for teams and for analysts. No role may delete what
# cannot be made again, and only the lake's own stages write into the lake.

locals {
  lake     = "${module.lake.arn}/${local.root}"
  books    = ["${local.lake}/tables/ops/*", "${local.lake}/state/*", "${local.lake}/locks/*"]
  passing  = ["${local.lake}/state/*", "${local.lake}/locks/*"]
  journal  = ["${local.lake}/journal/*"]
  all_lake = ["${local.lake}/*"]

  incoming        = [for mission in local.missions : module.incoming[mission]]
  instrument_arns = [for key in keys(local.instruments) : module.instrument[key].arn]
  tasks           = { type = "Service", identifiers = ["ecs-tasks.amazonaws.com"] }

  stages = {
    receive = {
      trust  = local.tasks
      list   = concat([module.lake.arn], local.incoming[*].arn, local.instrument_arns)
      read   = concat(local.all_lake, [for arn in local.incoming[*].arn : "${arn}/*"])
      write  = concat(local.books, local.journal, ["${local.lake}/raw/*"], [for arn in local.instrument_arns : "${arn}/*"])
      delete = local.passing
      queues = [for mission in local.missions : aws_sqs_queue.incoming[mission].arn]
      keys   = [aws_kms_key.first.arn]
    }
    forward = {
      trust  = local.tasks
      list   = [module.lake.arn]
      read   = local.all_lake
      write  = local.books
      delete = local.passing
      queues = []
      keys   = [aws_kms_key.first.arn]
    }
    process = {
      trust  = local.tasks
      list   = [module.lake.arn]
      read   = local.all_lake
      write  = local.all_lake
      delete = concat(local.passing, ["${local.lake}/tables/*", "${local.lake}/exports/*", "${local.lake}/catalog.duckdb"])
      queues = []
      keys   = [aws_kms_key.first.arn]
    }
    deliver = {
      trust  = local.tasks
      list   = [module.lake.arn, module.public.arn]
      read   = concat(local.all_lake, ["${module.public.arn}/*"])
      write  = concat(local.books, local.journal, ["${module.public.arn}/*"])
      delete = concat(local.passing, ["${module.public.arn}/*"])
      queues = []
      keys   = [aws_kms_key.first.arn]
    }
    backup = {
      trust  = local.tasks
      list   = [module.lake.arn, module.vault.arn]
      read   = concat(local.all_lake, ["${module.vault.arn}/*"])
      write  = concat(local.books, local.journal, ["${module.vault.arn}/*"])
      delete = local.passing
      queues = []
      retain = ["${module.vault.arn}/*"]
      keys   = [aws_kms_key.first.arn, aws_kms_key.second.arn]
    }
  }

  people = merge(
    { for name in length(var.analysts) > 0 ? ["analyst"] : [] : name => {
      trust  = { type = "AWS", identifiers = var.analysts }
      list   = [module.lake.arn, module.public.arn]
      read   = ["${local.lake}/tables/*", "${local.lake}/exports/*", "${local.lake}/catalog.duckdb", "${module.public.arn}/*"]
      write  = []
      delete = []
      queues = []
      keys   = [aws_kms_key.first.arn]
    } },
    { for team, arn in var.teams : "team-${team}" => {
      trust  = { type = "AWS", identifiers = [arn] }
      list   = [module.public.arn]
      read   = ["${module.public.arn}/*"]
      write  = []
      delete = []
      queues = [aws_sqs_queue.team[team].arn]
      keys   = [aws_kms_key.first.arn]
    } },
    { for mission, arn in var.publishers : "publish-${mission}" => {
      trust  = { type = "AWS", identifiers = [arn] }
      list   = [module.incoming[mission].arn]
      read   = ["${module.incoming[mission].arn}/*"]
      write  = ["${module.incoming[mission].arn}/*"]
      delete = []
      queues = []
      keys   = [aws_kms_key.first.arn]
    } },
  )

  roles = merge(local.stages, local.people)
}

data "aws_iam_policy_document" "trust" {
  for_each = local.roles

  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = each.value.trust.type
      identifiers = each.value.trust.identifiers
    }

    dynamic "condition" {
      for_each = each.value.trust.type == "Service" ? [local.account] : []

      content {
        test     = "StringEquals"
        variable = "aws:SourceAccount"
        values   = [condition.value]
      }
    }
  }
}

data "aws_iam_policy_document" "role" {
  for_each = local.roles

  statement {
    sid       = "List"
    actions   = ["s3:ListBucket", "s3:GetBucketLocation"]
    resources = each.value.list
  }

  statement {
    sid       = "Read"
    actions   = ["s3:GetObject"]
    resources = each.value.read
  }

  dynamic "statement" {
    for_each = length(each.value.write) > 0 ? [each.value.write] : []

    content {
      sid       = "Write"
      actions   = ["s3:PutObject", "s3:AbortMultipartUpload"]
      resources = statement.value
    }
  }

  dynamic "statement" {
    for_each = length(try(each.value.retain, [])) > 0 ? [each.value.retain] : []

    content {
      sid       = "Retain"
      actions   = ["s3:PutObjectRetention"]
      resources = statement.value
    }
  }

  dynamic "statement" {
    for_each = length(each.value.delete) > 0 ? [each.value.delete] : []

    content {
      sid       = "Delete"
      actions   = ["s3:DeleteObject"]
      resources = statement.value
    }
  }

  dynamic "statement" {
    for_each = length(each.value.queues) > 0 ? [each.value.queues] : []

    content {
      sid       = "Events"
      actions   = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility", "sqs:GetQueueAttributes", "sqs:GetQueueUrl"]
      resources = statement.value
    }
  }

  statement {
    sid       = "Keys"
    actions   = length(each.value.write) > 0 ? ["kms:Decrypt", "kms:GenerateDataKey"] : ["kms:Decrypt"]
    resources = each.value.keys
  }
}

resource "aws_iam_role" "this" {
  for_each           = local.roles
  name               = "${local.name}-${each.key}"
  assume_role_policy = data.aws_iam_policy_document.trust[each.key].json
}

resource "aws_iam_role_policy" "this" {
  for_each = local.roles
  name     = each.key
  role     = aws_iam_role.this[each.key].id
  policy   = data.aws_iam_policy_document.role[each.key].json
}
