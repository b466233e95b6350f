"""Commands about photos, and the visual side of the commands that serve both."""
