# SPDX-License-Identifier: Apache-2.0
"""Realistic telemetry with labelled faults, for the demo, benchmarks and rehearsals."""
