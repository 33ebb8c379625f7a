# SPDX-License-Identifier: Apache-2.0
"""A mission of two instruments for tests of definitions: `box` sends two packet types with one APID, `log` writes CSV.

Both bring their own part of the grammar of file names; `log` reads a table of `box` and borrows its calibration.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from textwrap import dedent

from lake.config import CHECKOUT

FILES = {
    "lab/mission.yaml": """\
        name: lab
        title: A mission for tests
        valid_time: {start: 2024-01-01, stop: 2050-01-01}
        """,
    "lab/names.yaml": """\
        mission: lab
        extension: cdf
        levels: [raw, l0, l1]
        min_valid_time: 2020-01-01T00:00:00Z
        instruments: {spare: {short_name: spr}}
        """,
    "lab/box/names.yaml": """\
        families:
          - {extension: bin, pattern: "{mission}_box_{time}", time: archive}
        """,
    "lab/box/instrument.yaml": """\
        name: box
        short_name: box
        title: A box
        description: It sends temperatures and words with one APID
        status: flying
        clock: seconds
        clocks:
          seconds: {epoch: "2000-01-01T00:00:00", policy: leap, coarse: time_s}
          days:
            {epoch: "1958-01-01T00:00:00", policy: posix, days: days, coarse: ms, coarse_ticks_per_second: 1000}
        transports:
          [{files: ["*_sync_*"], prefix: 1acffc1d}, {}]
        packets:
          warm: {apids: [7], when: {kind: 1}, checksum: crc16_ccitt}
          wordy: {apids: [7], when: [{field: kind, operator: ">", value: 1}], checksum: crc16_ccitt}
          dated: {apids: [8], clock: days}
        """,
    "lab/box/packets/warm.csv": """\
        name,data_type,bit_length,unit,description
        time_s,uint,32,s,Seconds since the epoch
        kind,uint,8,,Kind of packet
        temp,uint,16,adu,Temperature of the box
        crc,uint,16,,CRC
        """,
    "lab/box/packets/wordy.csv": """\
        name,data_type,bit_length,unit,description
        time_s,uint,32,s,Seconds since the epoch
        kind,uint,8,,Kind of packet
        count,uint,8,,Number of words
        words,uint(count),16,,Words
        crc,uint,16,,CRC
        """,
    "lab/box/packets/dated.csv": """\
        name,data_type,bit_length,bit_offset
        days,uint,16,48
        ms,uint,32,64
        level,uint,8,112
        """,
    "lab/box/calibration/temp_polynomial_20240101.csv": """\
        channel,adc_min,adc_max,c0,c1
        temp,0,65535,-10,0.5
        """,
    "lab/box/flags.csv": """\
        bit,name,description
        8,adc_out_of_range,A converted value is outside of its calibrated range
        """,
    "lab/box/tables.yaml": """\
        tables:
          box_l0_warm: {title: Temperatures, grain: one row per packet, packet: warm}
          box_l0_wordy: {title: Words, grain: one row per packet, packet: wordy}
          box_l0_dated: {title: Levels, grain: one row per packet, packet: dated}
          box_l1_warm:
            title: Temperatures in degC
            grain: one row per packet
            order: strict
            inputs: {warm: box_l0_warm}
            method: calibrated
            watch: {}
            calibrations: [temp_polynomial]
            columns:
              - epoch_tt2000
              - time
              - {name: temp_degc, type: float64, unit: degC, source: temp, conversion: polynomial, nullable: true}
              - sequence_count
              - quality_flag
        """,
    "lab/box/limits.csv": """\
        table,column,low,high,source
        box_l1_warm,temp_degc,-20,50,a data sheet
        """,
    "lab/log/names.yaml": """\
        short_name: lg
        families:
          - {extension: csv, pattern: "{mission}_log_{time}", time: archive}
        """,
    "lab/log/instrument.yaml": """\
        name: log
        short_name: lg
        title: A log
        description: It writes what the box does
        status: flying
        clock: {epoch: "1970-01-01T00:00:00", policy: posix, coarse: ms, coarse_ticks_per_second: 1000}
        borrows: {box: [temp_polynomial]}
        records:
          line: {format: csv, files: ["*.csv"]}
        """,
    "lab/log/records/line.csv": """\
        name,header,type,unit,description,valid_min,valid_max
        ms,Time,int64,ms,Time of the line,,
        temp,Temp,int32,adu,Temperature that the box showed,0,65535
        """,
    "lab/log/flags.csv": """\
        bit,name,description
        8,adc_out_of_range,A converted value is outside of its calibrated range
        """,
    "lab/log/tables.yaml": """\
        tables:
          log_l0_line: {title: Lines, grain: one row per line, records: line}
          log_l1_line:
            title: Lines in degC
            grain: one row per line
            order: strict
            inputs: {line: log_l0_line}
            method: calibrated
            calibrations: [temp_polynomial]
            columns:
              - epoch_tt2000
              - time
              - {name: temp_degc, type: float64, unit: degC, source: temp, conversion: polynomial, nullable: true}
              - quality_flag
        """,
}


def write_lab(folder: Path) -> Path:
    """The lab's definitions as a folder missions/."""
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text))
    for name in ("columns.csv", "flags.csv"):
        shutil.copy(CHECKOUT / "missions" / name, folder / name)
    return folder
