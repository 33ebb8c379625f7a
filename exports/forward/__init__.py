# SPDX-License-Identifier: Apache-2.0
"""Giving packets on as they arrive, or again: to TCP subscribers, webhooks, folders and buckets."""
