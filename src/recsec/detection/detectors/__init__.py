"""One detector per file, and the encoder that some of them share."""
