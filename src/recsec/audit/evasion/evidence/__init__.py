"""From the attacked pairs of a run to the rows, checks, findings and pictures of the report."""
