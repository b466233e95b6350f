"""The doors: one file for each kind of encoder that others made."""
