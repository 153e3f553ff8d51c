"""Writes docs/faults/: a page for every fault of the catalogue from its module's docstring, and an index by group.

python docs/faults_pages.py
"""

from __future__ import annotations

import re
from pathlib import Path

from ravine.diagnosis.catalogue import CATALOGUE, GROUPS, fault

HERE = Path(__file__).resolve().parent
FAULTS = HERE / "faults"
PARTS = {"Symptom": "Symptom", "Why": "Why", "Found": "How it is found", "Cure": "Cure", "Source": "Source"}
HEAD = """# Faults

What `ravine check`, `ravine.diagnose` and `ravine.diagnosis.Monitor` can find, a page each: symptom, why, how it is found, cure,
source. A finding names its fault, how sure it is (over one half is an alarm), the figures, the place, and what to change; where
the cure could be tried, what came of it is told too. Several faults may stand together: the root comes before its symptoms.

These pages are written by `docs/faults_pages.py` from the docstrings of `ravine.diagnosis.faults`.
"""


def pages() -> dict[str, str]:
    """Every page by the name of its file."""
    index = HEAD
    for group, names in GROUPS.items():
        lines = [f"- [{name}]({name}.md): {parts(name)['']}" for name in names]
        index += f"\n## {group.capitalize()}\n\n" + "\n".join(lines) + "\n"
    return {"README.md": index, **{f"{name}.md": page(name) for name in CATALOGUE}}


def page(name: str) -> str:
    """One fault as Markdown."""
    found = parts(name)
    group = next(group for group, names in GROUPS.items() if name in names)
    body = "".join(f"\n## {title}\n\n{found[part]}\n" for part, title in PARTS.items())
    return f"# {name}\n\n{found['']}\n{body}\n[All faults](README.md) · {group}\n"


def parts(name: str) -> dict[str, str]:
    """The parts of a fault's docstring by their labels; "" is its first line. Raises ValueError where one is missing."""
    first, _, rest = fault(name).page.strip().partition("\n")
    said, colon, sentence = first.partition(": ")
    if said != name or not colon:
        raise ValueError(f"the docstring of {name} begins with {first!r}; it must begin with '{name}: one sentence.'")
    pieces = re.split(rf"^({'|'.join(PARTS)}):\s*", rest, flags=re.MULTILINE)
    found = {"": in_markdown(sentence), **dict(zip(pieces[1::2], map(in_markdown, pieces[2::2]), strict=True))}
    if list(found) != ["", *PARTS] or not all(found.values()):
        raise ValueError(
            f"the docstring of {name} has the parts {list(found)[1:]}; it needs {list(PARTS)}, none empty."
        )
    return found


def in_markdown(text: str) -> str:
    """Lines joined into a sentence; `code` that names a fault is a link, and other text keeps its signs from Markdown."""
    pieces = " ".join(text.split()).split("`")
    for i, piece in enumerate(pieces):
        if i % 2:
            pieces[i] = f"[{piece}]({piece}.md)" if piece in CATALOGUE else f"`{piece}`"
        else:
            pieces[i] = re.sub(r"([*<>\[\]#|]|(?<!\w)_|_(?!\w))", r"\\\1", piece)
    if re.match("[a-z-]+[ ,]", pieces[0]) and not re.match("lr|eps", pieces[0]):
        pieces[0] = pieces[0][0].upper() + pieces[0][1:]
    return "".join(pieces)


def main() -> None:
    FAULTS.mkdir(exist_ok=True)
    written = pages()
    for old in FAULTS.glob("*.md"):
        if old.name not in written:
            old.unlink()
    for name, text in written.items():
        (FAULTS / name).write_text(text)


if __name__ == "__main__":
    main()
