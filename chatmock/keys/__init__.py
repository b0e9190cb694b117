"""The named keys of clients: made and revoked by ``chatmock keys``, kept in a file, followed by the daemon."""
