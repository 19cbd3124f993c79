"""The examples in the docstrings run and say what they show."""

import doctest
import importlib

import pytest


# By name: the package's function of the same name hides nothing, but a module is what doctest wants.
@pytest.mark.parametrize("name", ["ingot.store", "ingot.errors", "ingot"])
def test_the_examples_of_a_module_are_true(name: str) -> None:
    module = importlib.import_module(name)
    assert doctest.testmod(module, optionflags=doctest.ELLIPSIS).failed == 0


def test_there_are_examples_to_be_run() -> None:
    assert doctest.testmod(importlib.import_module("ingot.store")).attempted > 0
