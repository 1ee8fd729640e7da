"""Benchmarks: tasks, their sources, row formats and samples; imports evaluation/results/ for the fields of a record."""
