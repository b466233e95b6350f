"""From the recorded answers of a run to the rows and findings of the report."""
