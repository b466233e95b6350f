"""The pages: one file for each tab, and what forms do."""
