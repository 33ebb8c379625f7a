# SPDX-License-Identifier: Apache-2.0
# One image, several tasks: watch and forward run always, the others by schedule. Each reads the settings of a folder of
# its own in the image, /etc/swxlake/<task>, so that a task has no settings that it has no rights for.

locals {
  services = {
    watch   = { role = "receive", command = ["watch"], cpu = 1024, memory = 4096, health = "watch" }
    forward = { role = "forward", command = ["forward", "serve"], cpu = 512, memory = 2048, health = "forward" }
  }

  jobs = {
    night    = { role = "process", command = ["night"], cpu = 4096, memory = 16384, schedule = var.night_schedule }
    alerts   = { role = "process", command = ["alerts", "update"], cpu = 512, memory = 2048, schedule = "cron(20 * * * ? *)" }
    deliver  = { role = "deliver", command = ["deliver"], cpu = 1024, memory = 4096, schedule = "cron(0 5 * * ? *)" }
    backup   = { role = "backup", command = ["backup", "run"], cpu = 1024, memory = 4096, schedule = "cron(0 7 * * ? *)" }
    verify   = { role = "backup", command = ["backup", "verify", "--repair"], cpu = 1024, memory = 4096, schedule = "cron(0 12 ? * SUN *)" }
    maintain = { role = "process", command = ["maintain"], cpu = 2048, memory = 8192, schedule = "cron(0 12 ? * SAT *)" }
  }

  started = {
    for name, task in merge(local.services, local.jobs) : name => {
      role    = task.role
      command = task.command
      cpu     = task.cpu
      memory  = task.memory
      health  = try(task.health, null)
    }
  }
}

resource "aws_ecs_cluster" "this" {
  name = local.name

  setting {
    name  = "containerInsights"
    value = "enabled"
  }
}

resource "aws_cloudwatch_log_group" "task" {
  for_each          = local.started
  name              = "/${local.name}/${each.key}"
  retention_in_days = var.log_days
  kms_key_id        = aws_kms_key.first.arn
}

# ---- what starts a task: it pulls the image, hands over secrets, writes logs --------------------------------------------
data "aws_iam_policy_document" "tasks_trust" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["ecs-tasks.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account]
    }
  }
}

data "aws_iam_policy_document" "start" {
  for_each = local.started

  statement {
    sid       = "Login"
    actions   = ["ecr:GetAuthorizationToken"]
    resources = ["*"] # this action knows no other resource
  }

  statement {
    sid       = "Image"
    actions   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    resources = [var.image_repository_arn]
  }

  statement {
    sid       = "Logs"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.task[each.key].arn}:*"]
  }

  dynamic "statement" {
    for_each = [for arns in [values(lookup(var.secrets, each.key, {}))] : arns if length(arns) > 0]

    content {
      sid       = "Secrets"
      actions   = ["secretsmanager:GetSecretValue"]
      resources = statement.value
    }
  }

  dynamic "statement" {
    for_each = length(var.secrets_key_arns) > 0 ? [var.secrets_key_arns] : []

    content {
      sid       = "KeysOfSecrets"
      actions   = ["kms:Decrypt"]
      resources = statement.value
    }
  }
}

resource "aws_iam_role" "start" {
  for_each           = local.started
  name               = "${local.name}-start-${each.key}"
  assume_role_policy = data.aws_iam_policy_document.tasks_trust.json
}

resource "aws_iam_role_policy" "start" {
  for_each = local.started
  name     = "start"
  role     = aws_iam_role.start[each.key].id
  policy   = data.aws_iam_policy_document.start[each.key].json
}

# ---- tasks ---------------------------------------------------------------------------------------------------------------
resource "aws_ecs_task_definition" "this" {
  for_each                 = local.started
  family                   = "${local.name}-${each.key}"
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = each.value.cpu
  memory                   = each.value.memory
  execution_role_arn       = aws_iam_role.start[each.key].arn
  task_role_arn            = aws_iam_role.this[each.value.role].arn

  ephemeral_storage {
    size_in_gib = 100 # the largest day of a table for each worker lies in /tmp before it is uploaded
  }

  volume {
    name = "tmp"
  }

  volume {
    name = "health"
  }

  container_definitions = jsonencode([{
    name                   = each.key
    image                  = var.image
    command                = each.value.command
    workingDirectory       = "/etc/swxlake/${each.key}"
    essential              = true
    user                   = "10001:10001"
    readonlyRootFilesystem = true
    stopTimeout            = 60

    linuxParameters = {
      initProcessEnabled = true
      capabilities       = { drop = ["ALL"] }
    }

    mountPoints = [
      { sourceVolume = "tmp", containerPath = "/tmp", readOnly = false },
      { sourceVolume = "health", containerPath = "/run/swxlake", readOnly = false },
    ]

    environment = [
      { name = "AWS_REGION", value = var.region },
      { name = "SWXLAKE_ROOT", value = "s3://${module.lake.id}/${local.root}" },
      { name = "SWXLAKE_HEALTH", value = "/run/swxlake" },
    ]

    secrets = [for name, arn in lookup(var.secrets, each.key, {}) : { name = name, valueFrom = arn }]

    healthCheck = each.value.health == null ? null : {
      command     = ["CMD", "python", "-m", "swxlake.cli_health", each.value.health, "--max-age", "120"]
      interval    = 30
      timeout     = 10
      retries     = 3
      startPeriod = 120
    }

    logConfiguration = {
      logDriver = "awslogs"
      options = {
        awslogs-group         = aws_cloudwatch_log_group.task[each.key].name
        awslogs-region        = var.region
        awslogs-stream-prefix = each.key
      }
    }
  }])
}

resource "aws_security_group" "task" {
  for_each    = local.started
  name        = "${local.name}-${each.key}"
  description = "What ${each.key} may reach, and who may reach it"
  vpc_id      = var.vpc_id
}

resource "aws_vpc_security_group_egress_rule" "out" {
  for_each          = { for pair in setproduct(keys(local.started), [for port in var.egress_ports : tostring(port)]) : join("-", pair) => pair }
  security_group_id = aws_security_group.task[each.value[0]].id
  description       = "What the task reaches"
  ip_protocol       = "tcp"
  from_port         = tonumber(each.value[1])
  to_port           = tonumber(each.value[1])
  cidr_ipv4         = "0.0.0.0/0"
}

resource "aws_vpc_security_group_ingress_rule" "forward" {
  for_each          = toset(var.forward_clients)
  security_group_id = aws_security_group.task["forward"].id
  description       = "Subscribers of packets"
  ip_protocol       = "tcp"
  from_port         = var.forward_port
  to_port           = var.forward_port
  cidr_ipv4         = each.key
}

resource "aws_ecs_service" "this" {
  for_each                           = local.services
  name                               = each.key
  cluster                            = aws_ecs_cluster.this.id
  task_definition                    = aws_ecs_task_definition.this[each.key].arn
  desired_count                      = 1
  launch_type                        = "FARGATE"
  deployment_minimum_healthy_percent = 0 # the old one ends before the new one begins
  deployment_maximum_percent         = 100

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  network_configuration {
    subnets          = var.subnet_ids
    security_groups  = [aws_security_group.task[each.key].id]
    assign_public_ip = false
  }
}

# ---- what runs by schedule -----------------------------------------------------------------------------------------------
resource "aws_sqs_queue" "schedules_dead" {
  name                      = "${local.name}-schedules-dead"
  sqs_managed_sse_enabled   = true
  message_retention_seconds = local.retention_seconds
}

data "aws_iam_policy_document" "scheduler_trust" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["scheduler.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account]
    }
  }
}

data "aws_iam_policy_document" "scheduler" {
  statement {
    sid       = "RunJobs"
    actions   = ["ecs:RunTask"]
    resources = [for name in keys(local.jobs) : aws_ecs_task_definition.this[name].arn]

    condition {
      test     = "ArnEquals"
      variable = "ecs:cluster"
      values   = [aws_ecs_cluster.this.arn]
    }
  }

  statement {
    sid     = "AsTheirRoles"
    actions = ["iam:PassRole"]
    resources = concat(
      [for name in keys(local.jobs) : aws_iam_role.start[name].arn],
      distinct([for job in values(local.jobs) : aws_iam_role.this[job.role].arn]),
    )

    condition {
      test     = "StringEquals"
      variable = "iam:PassedToService"
      values   = ["ecs-tasks.amazonaws.com"]
    }
  }

  statement {
    sid       = "WhatCouldNotBeStarted"
    actions   = ["sqs:SendMessage"]
    resources = [aws_sqs_queue.schedules_dead.arn]
  }
}

resource "aws_iam_role" "scheduler" {
  name               = "${local.name}-scheduler"
  assume_role_policy = data.aws_iam_policy_document.scheduler_trust.json
}

resource "aws_iam_role_policy" "scheduler" {
  name   = "scheduler"
  role   = aws_iam_role.scheduler.id
  policy = data.aws_iam_policy_document.scheduler.json
}

resource "aws_scheduler_schedule" "job" {
  for_each                     = local.jobs
  name                         = "${local.name}-${each.key}"
  schedule_expression          = each.value.schedule
  schedule_expression_timezone = "UTC"

  flexible_time_window {
    mode = "OFF"
  }

  target {
    arn      = aws_ecs_cluster.this.arn
    role_arn = aws_iam_role.scheduler.arn

    ecs_parameters {
      task_definition_arn = aws_ecs_task_definition.this[each.key].arn
      launch_type         = "FARGATE"

      network_configuration {
        subnets          = var.subnet_ids
        security_groups  = [aws_security_group.task[each.key].id]
        assign_public_ip = false
      }
    }

    dead_letter_config {
      arn = aws_sqs_queue.schedules_dead.arn
    }

    retry_policy {
      maximum_retry_attempts       = 5
      maximum_event_age_in_seconds = 3600
    }
  }
}
