"""How graphs are built is tested on graphs that nothing else was added to."""

import pytest


@pytest.fixture(autouse=True)
def built_anew(graph_of_its_own):
    """Each network of these tests has a graph of its own."""
