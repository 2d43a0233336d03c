"""The published language as files: JSON Schemas, an AsyncAPI document, one example of each message.

Law: they are made of the structs in `schemas` and of what the domain decides, never written by hand; `make schemas`
writes them to `schemas/published`, and a test fails when they are stale.

The story: `forms` turns structs into schemas, `examples` decides a small file of commands, `asyncapi` says on which
topic each message goes, and `files` puts them all together.
"""

from services.language.files import files

__all__ = ["files"]
