"""Every dialect by every provider by everything a client may ask: the matrix of docs/matrix.md, and its test."""
