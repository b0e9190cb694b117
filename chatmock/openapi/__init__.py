"""The daemon's description of itself, ``GET /openapi.json`` (OpenAPI 3.1). Pure.

A route that is added is described in :mod:`chatmock.openapi.operations`; a test compares the two.
"""

from chatmock.openapi.document import Facts, document

__all__ = ["Facts", "document"]
