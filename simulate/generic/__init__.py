# SPDX-License-Identifier: Apache-2.0
"""Any instrument from its definition alone."""
