# SPDX-License-Identifier: Apache-2.0
"""Everything that can go wrong, as one tree.

SwxlakeError
    ConfigurationError      a setting or an option is wrong                      exit 2
        DefinitionError     a file below missions/ is wrong                      exit 2
    FileNameError           a file name does not follow the mission's grammar    refused
    PacketError             bytes that cannot be unpacked as defined             quarantined
    RecordError             a row that cannot be read as defined                 quarantined
    RecordFileError         a file no row of which can be read as defined        quarantined
    CalibrationError        no valid calibration for the day, or a bad one       day refused
    TransformError          a transform's result does not match its table        day refused
    TableError              a table cannot be read, written or trusted           exit 1
        Overtaken           another process wrote the table-day in the meantime  looked at again
    StorageError            a file or folder cannot be read or written           exit 1
        DamageError         archived bytes are missing or have changed           file left out
        UnreadableFileError a raw file of the packet log (lake.packet_log)       passed over
    QueryError              a question to the lake is not answered               refused
        LimitError          it would take too long, too much memory or too many rows
            TimeLimitError  it took longer than it may
    ExportError             a product cannot be made or did not validate         day refused
    WayError           a recipient cannot be reached, or refuses            sent again later
        PathError           it refuses one path alone (lake.ways.transport)

A message says what is wrong, where, and what to do.
"""


class SwxlakeError(Exception):
    """A problem that the user can understand and mend; shown as one line, never as a traceback."""


class ConfigurationError(SwxlakeError):
    """A setting or a command-line option is wrong."""


class DefinitionError(ConfigurationError):
    """A definition below missions/ is wrong."""


class FileNameError(SwxlakeError):
    """A file name that the mission's grammar refuses; `code` is one of the reason codes."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


class PacketError(SwxlakeError):
    """Bytes that cannot be unpacked as their packet definition says."""


class RecordError(SwxlakeError):
    """A row of a file that cannot be read as its record definition says; the other rows can."""


class RecordFileError(SwxlakeError):
    """A file whose rows cannot be told apart, or do not have the columns of their record definition."""


class CalibrationError(SwxlakeError):
    """A calibration is missing for the day, or does not fit."""


class TransformError(SwxlakeError):
    """The result of a transform does not match the definition of its table."""


class TableError(SwxlakeError):
    """A table cannot be read, written or trusted."""


class Overtaken(TableError):  # noqa: N818  it is what happened, and nothing is wrong
    """Another process has written a table-day since it was claimed."""


class StorageError(SwxlakeError):
    """A file or folder of the lake cannot be read or written."""


class DamageError(StorageError):
    """The archived bytes of a raw file are missing, cannot be read, or have changed."""


class QueryError(SwxlakeError):
    """A question to the lake that cannot be answered."""


class LimitError(QueryError):
    """A question whose answer would take more time, memory or rows than its asker may have."""


class TimeLimitError(LimitError):
    """A question that was ended since it took longer than its asker may have."""


class ExportError(SwxlakeError):
    """A product cannot be made, or did not pass its validation."""


class WayError(SwxlakeError):
    """A place of others (a recipient, a source, a second site) cannot be reached, or refuses."""


class PathError(WayError):
    """Such a place answers, and refuses something about one path; the others may well be taken."""
