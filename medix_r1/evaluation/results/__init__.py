"""Results: records, statistics, tables, comparisons, audits; imports no other room of evaluation/."""
