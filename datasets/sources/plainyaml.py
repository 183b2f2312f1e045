"""YAML as text, lists and mappings, and nothing else: what a file of labels needs of it.

Every scalar stays the text that it is, or None. So `label: no` is not false, an address that starts with
0x is not a number, and no tag makes an object. Aliases and deep nesting are refused: a few lines of them
unfold to more than any memory or stack holds. A field that stands twice in one mapping is never passed over:
in an entry of a list at the top it makes the entry a `Repeated`, anywhere else the file is refused. Source:
YAML 1.1, events as libyaml gives them.
"""

from typing import Any

import yaml

DEEPEST = 50
"""Lists and mappings inside each other; a TagPack needs four."""

_ENTRY = 3
"""Place of an entry among the containers open around it: document, its fields, the list, the entry."""

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NULLS = frozenset(("", "~", "null", "Null", "NULL"))
_PLAIN_TAGS = frozenset(
    "tag:yaml.org,2002:" + name for name in ("str", "int", "float", "bool", "null", "timestamp")
)
_CONTAINER_TAGS = frozenset(("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"))


class Repeated(dict[str, Any]):
    """An entry in which, or somewhere inside which, a field stands twice: `field` is the first of them."""

    field = ""


def read_plain(content: bytes) -> Any:
    """Return the one document of `content` as str, None, list and dict; ValueError says what it is not."""
    root: list[Any] = []
    inside: list[Any] = [root]  # the containers that are open, the innermost last
    keys: list[str | None] = [None]  # the key that waits for its value, for each of them
    try:
        event: Any
        for event in yaml.parse(content, Loader=_LOADER):
            kind = event.__class__
            if kind is yaml.ScalarEvent:
                value: Any = None if event.implicit[0] and event.value in _NULLS else event.value
                if event.tag is not None and event.tag not in _PLAIN_TAGS:
                    raise ValueError(f"it makes use of the YAML tag {event.tag[:60]}")
            elif kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
                if len(inside) > DEEPEST:
                    raise ValueError("its fields are nested too deep")
                if event.tag is not None and event.tag not in _CONTAINER_TAGS:
                    raise ValueError(f"it makes use of the YAML tag {event.tag[:60]}")
                inside.append({} if kind is yaml.MappingStartEvent else [])
                keys.append(None)
                continue
            elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
                value = inside.pop()
                keys.pop()
            elif kind is yaml.AliasEvent:
                raise ValueError("it uses YAML aliases, which are not read: write it out")
            else:
                continue
            _put(inside, keys, value)
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error
    if len(root) != 1:
        raise ValueError(f"it holds {len(root)} YAML documents, it must be one")
    return root[0]


def _put(inside: list[Any], keys: list[str | None], value: Any) -> None:
    container, key = inside[-1], keys[-1]
    if container.__class__ is list:
        container.append(value)
    elif key is not None:
        if key in container:
            _mark(inside, key)
            container = inside[-1]
        container[key] = value
        keys[-1] = None
    elif isinstance(value, str):
        keys[-1] = value
    else:
        raise ValueError("a field's name is not a text")


def _mark(inside: list[Any], key: str) -> None:
    """Make the open entry of a list at the top one with a repeated field; ValueError where none is open."""
    if len(inside) <= _ENTRY or inside[_ENTRY - 1].__class__ is not list or inside[_ENTRY].__class__ is list:
        raise ValueError(f"the field {key[:60]!r} stands there twice")
    if inside[_ENTRY].__class__ is not Repeated:
        inside[_ENTRY] = Repeated(inside[_ENTRY])
        inside[_ENTRY].field = key
