"""Benchmarks: what chatmock adds to a request, beside what the plain Klein and treq skeleton adds."""
