"""The daemon's description of itself, ``GET /openapi.json`` (OpenAPI 3.1). Pure.

A route that is added is described in :mod:`chatmock.openapi.operations`; a test compares the two.
"""

from chatmock.openapi.document import Facts, document
from chatmock.openapi.templates import NO_ROUTE, template_of

__all__ = ["NO_ROUTE", "Facts", "document", "template_of"]
