"""A small certificate authority of the owner's own: made, told about, and kept fresh."""
