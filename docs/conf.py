"""The documentation's site: sphinx-build -W docs docs/_build/html (pip install -e ".[docs]")."""

import pathlib
import re
import shutil

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parent

project = "Grad-CAM for TensorFlow static graphs"
version = release = re.search(
    r'^__version__ = "(.+?)"', (ROOT / "slim_models" / "__init__.py").read_text(encoding="utf-8"), re.MULTILINE
)[1]
author = "the project's contributors"
html_title = f"Grad-CAM {release}"
html_theme = "furo"
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
highlight_language = "text"
pygments_style = "friendly"

# Single backticks in docstrings are code, as they are in Markdown.
default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
napoleon_use_ivar = True  # attributes that a class says of itself are no second description of its fields

myst_heading_anchors = 3

# The notebooks are stored without outputs, and executed here, each in an empty folder.
nb_execution_mode = "cache"
nb_execution_in_temp = True
nb_execution_timeout = 600
nb_execution_raise_on_error = True
shutil.rmtree(HERE / "notebooks", ignore_errors=True)
shutil.copytree(
    ROOT / "notebooks", HERE / "notebooks", ignore=lambda _, names: {n for n in names if not n.endswith(".ipynb")}
)

_SECTION = re.compile(r"(Args|Attributes|Raises|Returns|Warns|Yields):$")


def in_rest(app, what, name, obj, options, lines):
    """Docstrings as they are written here: what is indented is code, a bar is a bar, and what is returned is no type,
    whatever stands before a colon."""
    found, code, free, returned = [], False, True, False
    for line in lines:
        free = free and not _SECTION.match(line)
        if free and line.startswith("    ") and not code:
            found += ["", ".. code-block:: python", ""]
        code = free and (line.startswith("    ") or (code and not line))
        said = line if code else line.replace("|", r"\|")
        found += [f":returns: {said.strip()}"] if returned else [said] if line != "Returns:" else []
        returned = line == "Returns:"
    lines[:] = found


def within_the_site(app, docname, source):
    """Links to files beside this folder, as a forge shows them, lead to what the site has of these."""
    source[0] = re.sub(r"\]\((?:\.\./)+notebooks/", "](/notebooks/", source[0])
    source[0] = re.sub(r"\]\((?:\.\./)+weights/README\.md", "](/weights.md", source[0])


def setup(app):
    app.connect("source-read", within_the_site)
    app.connect("autodoc-process-docstring", in_rest, priority=100)  # before napoleon
