import ast
import operator
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import Refused
from tools.calculate import evaluate


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("1+2*3", "7.00"),
        ("(1 + 2) * 3", "9.00"),
        ("10 - 4 - 3", "3.00"),
        ("100 / 10 / 4", "2.50"),
        ("2*-3", "-6.00"),
        ("-(2.5 + .5)", "-3.00"),
        ("0.1 + 0.2", "0.30"),
        ("2 / 3", "0.67"),
        ("0.005", "0.01"),
        ("-0.005", "-0.01"),
        ("0 - 0.001", "0.00"),
        ("19.99 + 5.", "24.99"),
        ("1319.43 - 302.67 + 271.89", "1288.65"),
    ],
)
def test_sums_are_exact_to_the_cent(expression, value) -> None:
    assert evaluate(expression) == value


@pytest.mark.parametrize(
    "expression",
    ["1/0", "1/(2-2)", "0/0", "", " ", "1 2", "1..2", "1.2.3", "(1", "1)", "()", "1+", "*3", "1**2",
     "2//2", "1e5", "a", "__import__('os')", "9" * 200, "(" * 90 + "1" + ")" * 90, "-" * 150 + "1"],
)  # fmt: skip
def test_what_is_no_sum_is_refused(expression) -> None:
    with pytest.raises(Refused):
        evaluate(expression)


def exact(node: ast.expr) -> Fraction:
    """The value by Python's own parser and fractions: an independent reading."""
    if isinstance(node, ast.Constant):
        return Fraction(str(node.value))
    if isinstance(node, ast.UnaryOp):
        return -exact(node.operand)
    assert isinstance(node, ast.BinOp)
    work = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul}
    return work[type(node.op)](exact(node.left), exact(node.right))


NUMBERS = st.decimals(0, 9999, places=2).map(str)
SUMS = st.recursive(
    NUMBERS,
    lambda inner: (
        st.tuples(inner, st.sampled_from("+-*"), inner).map(
            lambda parts: f"({parts[0]} {parts[1]} {parts[2]})"
        )
        | inner.map(lambda value: f"-{value}" if value[0] != "-" else value)
    ),
    max_leaves=6,
)


@given(SUMS)
def test_any_sum_is_what_python_says(expression) -> None:
    value = Fraction(evaluate(expression))
    assert abs(value - exact(ast.parse(expression, mode="eval").body)) <= Fraction(1, 200)
