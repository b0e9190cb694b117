"""Judges from outside: programs that nobody here wrote, run against the daemon as people start it (spec security.md §3).

``python -m tests.security.external [NAME ...]`` runs those that are installed and prints a table. They are looked
for on PATH. All traffic stays on the loopback, and every loop is bounded in count and time.
"""
