"""The calibration's demonstration: does a nano policy learn how sure it may be? The result: docs/calibration.md."""
