"""What the site needs besides the documents: a first page, mathematics, and links to what is no page of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import griffe
import latex2mathml.converter
from mkdocs.structure.files import File

CODE_BLOCK = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"(`[^`\n]+`)")
FORMULA = re.compile(r"\$\$(?P<block>.+?)\$\$|\$(?P<inline>[^$\n]+)\$", re.DOTALL)
SECTION = re.compile(r"^((?:Parameters|Attributes)\n-+\n)(.*?)(?=\n\n|\Z)", re.MULTILINE | re.DOTALL)
OUTSIDE = re.compile(r"\[(?P<label>[^\]]+)\]\(\.\./(?P<path>[^)]+)\)")


def on_files(files: Any, config: Any) -> Any:
    """Make the README the first page, its links those of a page among the others."""
    readme = Path(config.config_file_path).parent.joinpath("README.md").read_text(encoding="utf-8")
    content = re.sub(r"\]\((?!docs/|http)", "](../", readme).replace("](docs/", "](")
    files.append(File.generated(config, "index.md", content=content))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Turn links to the sources into links to the functions, and keep the formulas away from Markdown."""
    page.meta["formulas"] = []
    parts = CODE_BLOCK.split(markdown)
    parts[::2] = [_without_formulas(OUTSIDE.sub(_inside, part), page.meta["formulas"]) for part in parts[::2]]
    return "".join(parts)


def on_page_content(html: str, page: Any, **_: Any) -> str:
    """Put the formulas back, as MathML."""
    return re.sub(r"FORMULA(\d+)X", lambda found: page.meta["formulas"][int(found[1])], html)


def _inside(link: re.Match[str]) -> str:
    """A link to the function that is named, or its name alone where the site has no page for it."""
    name = link["label"].strip("`")
    is_function = link["path"] == "handnet/network.py" and "/" not in name
    return f"[{link['label']}][handnet.{name}]" if is_function else link["label"]


def _without_formulas(text: str, formulas: list[str]) -> str:
    def kept(found: re.Match[str]) -> str:
        display = "block" if found["block"] else "inline"
        formula = latex2mathml.converter.convert(found["block"] or found["inline"], display=display)
        # Of the variants browsers know none any more; and what stands in a line of its own may be wide.
        formula = formula.replace('mathvariant="bold"', 'style="font-weight: bold"')
        formulas.append(
            f'<span style="display: block; overflow-x: auto">{formula}</span>' if found["block"] else formula
        )
        return f"FORMULA{len(formulas) - 1}X"

    parts = CODE.split(text)
    parts[::2] = [FORMULA.sub(kept, part) for part in parts[::2]]
    return "".join(parts)


class Described(griffe.Extension):
    """What stands behind the colon of a parameter here is a description; its type stands in the signature."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Move descriptions to where NumPy's style has them."""
        if obj.docstring:
            obj.docstring.value = SECTION.sub(_described, obj.docstring.value)


def _described(section: re.Match[str]) -> str:
    return section[1] + re.sub(r"^(\S[^:\n]*?) : ", r"\1\n    ", section[2], flags=re.M)
