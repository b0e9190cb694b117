"""Words for JSON Schema (2020-12), and the schemas of what chatmock reads, derived from the structs it reads with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from chatmock import jsontext
from chatmock.jsontext import MOST_DIGITS, Struct

Schema = Mapping[str, Any]
"""A JSON Schema."""

STRING: Final[Schema] = {"type": "string"}
BOOLEAN: Final[Schema] = {"type": "boolean"}
NULL: Final[Schema] = {"type": "null"}
NOT_EMPTY: Final[Schema] = {"type": "string", "minLength": 1}
COUNT: Final[Schema] = {"type": "integer", "minimum": 0}
_MOST: Final = 10**MOST_DIGITS - 1
INTEGER: Final[Schema] = {"type": "integer", "minimum": -_MOST, "maximum": _MOST}
"""One that a request may hold: longer ones are refused (:func:`chatmock.jsontext.loads_strictly`)."""
OBJECT: Final[Schema] = {"type": "object"}


def ref(name: str) -> Schema:
    """The shared schema *name*."""
    return {"$ref": f"#/components/schemas/{name}"}


def nullable(schema: Schema) -> Schema:
    """*schema*, or null, which means the same as the field's absence."""
    return {"anyOf": [schema, NULL]}


def array(items: Schema, **more: Any) -> Schema:
    """An array of *items*."""
    return {"type": "array", "items": items, **more}


def closed(properties: Mapping[str, Schema], optional: Iterable[str] = ()) -> Schema:
    """An object of an answer, with these *properties* and no others."""
    skipped = frozenset(optional)
    required = [name for name in properties if name not in skipped]
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def open_object(properties: Mapping[str, Schema], required: Iterable[str] = ()) -> Schema:
    """An object that may have further properties: chatmock passes them on, to the upstream or to the client."""
    return {"type": "object", "properties": properties, "required": [*required]}


def derived(shape: type[Struct]) -> dict[str, Schema]:
    """The properties that *shape* reads, each with the schema of what it takes; structs inside are written out."""
    components = jsontext.schemas(shape)

    def write_out(schema: Any) -> Any:
        if isinstance(schema, list):
            return [write_out(each) for each in schema]
        if not isinstance(schema, dict):
            return schema
        if "$ref" in schema:
            return write_out(components[schema["$ref"].rpartition("/")[2]])
        told = {
            key: write_out(value)
            for key, value in schema.items()
            if key not in ("title", "description", "default")
        }
        return INTEGER if told == {"type": "integer"} else told

    properties = components[shape.__name__]["properties"]
    # A property may be called `title`: what is a schema and what is a name is known here only.
    return {name: write_out(schema) for name, schema in properties.items()}
