"""The extraction part of a report, and its section of the page."""
