"""Commands about histories, and the sequential side of the commands that serve both."""
