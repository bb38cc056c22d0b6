"""The report of a calibration: one HTML file with verdicts, numbers and pictures."""

from rawpipe.calibration.report.page import write_report

__all__ = ["write_report"]
