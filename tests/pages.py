"""Reading the page as a program would: its tables by id, and the section that each stands in."""

import re
from html.parser import HTMLParser

WRONG = """
import numpy as np

def backprop(weights, inputs, targets):
    a = [inputs]
    for W in weights:
        a.append(1 / (1 + np.exp(-(np.hstack([a[-1], np.ones((len(a[-1]), 1))]) @ W))))
    delta, gradients = (a[-1] - targets) / len(inputs), []
    for l in range(len(weights) - 1, -1, -1):
        gradients.insert(0, np.hstack([a[l], np.ones((len(a[l]), 1))]).T @ delta)
        delta = delta @ weights[l][:-1].T * a[l] * (1 - a[l])
    return gradients
"""


class Page(HTMLParser):
    """What the page says.

    Attributes
    ----------
    tables : by id, dicts from heading to the cell's text, or its number where it is one
    sections : by the id of a table, the title of its section
    alternatives : of the pictures
    answer, messages, text : at the top, and all of it
    """

    def __init__(self, path):
        super().__init__()
        self.tables, self.sections, self.alternatives, self.messages = {}, {}, [], []
        self.answer = self.text = self.title = ""
        self.open, self.table, self.heads, self.row, self.cell = [], None, [], None, None
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        at = dict(attributes)
        if at.get("role") == "img":
            self.alternatives.append(at["aria-label"])
        if tag == "img":
            self.alternatives.append(at["alt"])
        if tag == "h2":
            self.title = ""
        if tag == "table":
            self.table = at.get("id", f"values-{len(self.tables)}")
            self.heads, self.tables[self.table], self.sections[self.table] = [], [], self.title
        if tag == "tr":
            self.row = []
        if tag in ("td", "th"):
            self.cell = ["", at.get("data-v")]
        if tag == "pre":
            self.messages.append("")
        self.open.append((tag, at.get("class", "")))

    def handle_data(self, data):
        self.text += data
        inside = [tag for tag, _ in self.open]
        if self.cell is not None:
            self.cell[0] += data
        if "h2" in inside and "span" not in inside:
            self.title = (self.title + data).strip()
        if "pre" in inside:
            self.messages[-1] += data
        if any("answer" in kind for _, kind in self.open):
            self.answer += data

    def handle_endtag(self, tag):
        while self.open and self.open.pop()[0] != tag:
            pass
        if tag in ("td", "th"):
            text, number = self.cell
            text = re.sub(r"^[\u2713\u2717\u2193?\u223c]\s+", "", text.strip())
            (self.heads if tag == "th" else self.row).append(text if number is None else float(number))
            self.cell = None
        if tag == "tr" and self.row:
            self.tables[self.table].append(dict(zip(self.heads, self.row, strict=True)))
