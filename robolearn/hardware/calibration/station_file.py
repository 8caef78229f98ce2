"""Writing what was measured into a station's file, so that everything else in it stays as a person wrote it.

The file is edited as text, at the places where the YAML parser finds the values: comments, order and layout
are kept. The result is read again before it takes the file's place.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from robolearn.errors import InputError, choose
from robolearn.files import replacing
from robolearn.hardware.station import load_station

Value = str | int | float | list[float]


def write_camera(path: Path, camera: str, values: Mapping[str, Value], topic: str, note: str) -> Path:
    """Set values of a camera in a station's file, and say in a comment above them where they come from.

    Args:
        path: the station's file.
        camera: name of the camera in it.
        values: by key; what the file has already is replaced, the rest is added at the end of the camera's
            mapping.
        topic: what the comment is about: "intrinsics"; an older comment on it goes.
        note: the rest of the comment, one line.

    Returns:
        path of the file as it was before, FILE.bak.

    Raises:
        InputError: there is no such camera, the file holds the values in a way that cannot be edited (behind
            an anchor), or it would not be a valid station with them. The file is as before then.
        OSError: it cannot be written. The file is as before then.
    """
    load_station(path)
    before = path.read_bytes()
    text = edited(before.decode("utf-8"), str(path), camera, values, topic, note)
    backup = path.with_name(path.name + ".bak")
    with replacing(path) as temporary:
        temporary.write_bytes(text.encode("utf-8"))
        load_station(temporary)
        with replacing(backup) as copy:
            copy.write_bytes(before)
    return backup


def edited(text: str, name: str, camera: str, values: Mapping[str, Value], topic: str, note: str) -> str:
    """The text of a station's file with other values of a camera; `name` is the file's, for complaints."""
    entry = _find(yaml.compose(text, yaml.SafeLoader), name, camera)
    keys = {key.value: (key, value) for key, value in entry.value}
    edits, added = [], []
    for key, value in values.items():
        if key in keys:
            node = keys[key][1]
            edits.append((node.start_mark.index, _end(node), _flow(value)))
        else:
            added.append(f"{key}: {_flow(value)}")
    last = _end(entry.value[-1][1])
    if entry.flow_style:
        edits.append((last, last, "".join(f", {line}" for line in added)))
    else:
        place = _line_end(text, last)
        indent = " " * entry.value[0][0].start_mark.column
        edits.append((place, place, "".join(f"{_newline(text)}{indent}{line}" for line in added)))
    result = text
    for start, end, replacement in sorted(edits, reverse=True):
        result = result[:start] + replacement + result[end:]

    wanted = yaml.safe_load(text)
    next(item for item in wanted["cameras"] if item["name"] == camera).update(values)
    try:
        same = yaml.safe_load(result) == wanted
    except yaml.YAMLError:  # the anchor of an alias is gone
        same = False
    if not same:
        raise InputError(
            f"{name}: the values of camera {camera!r} cannot be changed without changing others; write them "
            "out in its own mapping, without anchors and aliases (& and *)"
        )
    first = next(iter(values))
    entry = _find(yaml.compose(result, yaml.SafeLoader), name, camera)
    at = next(key.start_mark.index for key, _ in entry.value if key.value == first)
    return _with_comment(result, at, f"# {topic} measured", note)


def _find(root: Any, name: str, camera: str) -> yaml.MappingNode:
    for key, value in root.value:
        if key.value == "cameras" and isinstance(value, yaml.SequenceNode):
            entries = {
                field.value: entry
                for entry in value.value
                for key, field in entry.value
                if key.value == "name"
            }
            choose(f"camera of {name}", camera, entries)
            return entries[camera]
    raise InputError(f"{name} has no cameras; add {camera!r} to it first, with its topic and rough values")


def _end(node: Any) -> int:
    """Where a value's text ends; the parser puts the end of a block after the comments that follow it."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _end(last[1] if isinstance(last, tuple) else last)
    return int(node.end_mark.index)


def _line_end(text: str, index: int) -> int:
    end = text.find("\n", index)
    end = len(text) if end < 0 else end
    return end - 1 if text[:end].endswith("\r") else end


def _newline(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _with_comment(text: str, index: int, start: str, note: str) -> str:
    """With a comment above the line of `index`, in place of one there that starts alike."""
    line = text.rfind("\n", 0, index) + 1
    above = text.rfind("\n", 0, max(line - 1, 0)) + 1
    if line and text[above:line].strip().startswith(start):
        return _with_comment(text[:above] + text[line:], index - (line - above), start, note)
    own = text[line:]
    indent = own[: len(own) - len(own.lstrip())]
    return f"{text[:line]}{indent}{start} {note}{_newline(text)}{own}"


def _flow(value: Value) -> str:
    """The value on one line, as YAML."""
    return yaml.safe_dump(value, default_flow_style=True, width=10**6).removesuffix("...\n").strip()
