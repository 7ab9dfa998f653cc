"""The data audit: every byte of every photo read, what is found told, nothing changed."""
