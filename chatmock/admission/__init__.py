"""Who may ask, how much, and when: policy over addresses, keys, counts and a clock; no HTTP bodies."""
