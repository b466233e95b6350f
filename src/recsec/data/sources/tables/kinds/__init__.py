"""From the cells of a column to its kind: ids, times, numbers, text; what counts as missing."""
