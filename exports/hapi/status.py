# SPDX-License-Identifier: Apache-2.0
"""What the server answers where it does not give data: HAPI's codes, and the HTTP status of each.

Source: HAPI Data Access Specification 3.3, section 4.2.
"""

from __future__ import annotations

from dataclasses import dataclass

VERSION = "3.3"
OK, NO_DATA = 1200, 1201
INPUT, UNKNOWN_REQUEST_PARAMETER, BAD_START, BAD_STOP = 1400, 1401, 1402, 1403
EMPTY_RANGE, OUTSIDE, UNKNOWN_DATASET, UNKNOWN_PARAMETER = 1404, 1405, 1406, 1407
TOO_MUCH, UNKNOWN_FORMAT, UNKNOWN_INCLUDE, OUT_OF_ORDER = 1408, 1409, 1410, 1411
UNKNOWN_RESOLVE, UNKNOWN_DEPTH, INTERNAL, UPSTREAM = 1412, 1413, 1500, 1501
MESSAGES = {
    OK: "OK",
    NO_DATA: "OK - no data for time range",
    INPUT: "Bad request - user input error",
    UNKNOWN_REQUEST_PARAMETER: "Bad request - unknown API parameter name",
    BAD_START: "Bad request - syntax error in start time",
    BAD_STOP: "Bad request - syntax error in stop time",
    EMPTY_RANGE: "Bad request - start equal to or after stop",
    OUTSIDE: "Bad request - start < startDate and/or stop > stopDate",
    UNKNOWN_DATASET: "Bad request - unknown dataset id",
    UNKNOWN_PARAMETER: "Bad request - unknown dataset parameter",
    TOO_MUCH: "Bad request - too much time or data requested",
    UNKNOWN_FORMAT: "Bad request - unsupported output format",
    UNKNOWN_INCLUDE: "Bad request - unsupported include value",
    OUT_OF_ORDER: "Bad request - out-of-order or duplicate parameters",
    UNKNOWN_RESOLVE: "Bad request - unsupported resolve_references value",
    UNKNOWN_DEPTH: "Bad request - unsupported depth value",
    INTERNAL: "Internal server error",
    UPSTREAM: "Internal server error - upstream request error",
}
NOT_FOUND = (UNKNOWN_DATASET, UNKNOWN_PARAMETER)


@dataclass(frozen=True)
class Status:
    """One of HAPI's codes, with what there is to say of the case at hand. `http` is another status than the usual."""

    code: int
    detail: str = ""
    http: int = 0

    @property
    def http_status(self) -> int:
        """The status of the answer over HTTP."""
        return self.http or (404 if self.code in NOT_FOUND else self.code // 100 * 100 - 1000)

    @property
    def reason(self) -> str:
        """HAPI's own words, for the line of HTTP that holds the status: nothing of what was asked stands in them."""
        return f"HAPI {self.code} {MESSAGES[self.code]}"

    def document(self) -> dict[str, object]:
        """The beginning of every JSON answer."""
        message = f"{MESSAGES[self.code]}. {self.detail}" if self.detail else MESSAGES[self.code]
        return {"HAPI": VERSION, "status": {"code": self.code, "message": message}}


class Refusal(Exception):  # noqa: N818  it is what happened to a request, and nothing is wrong here
    """A request that is answered by a status alone."""

    def __init__(self, code: int, detail: str = "", http: int = 0) -> None:
        self.status = Status(code, detail, http)
        super().__init__(f"{self.status.reason}. {detail}")
