# SPDX-License-Identifier: Apache-2.0
"""What a person should know: the life of alerts, from anomalies to their end."""
