"""Answers that clients may go on from and read again: in a file of the state folder, bounded, each its client's alone."""
