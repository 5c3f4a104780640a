"""Do sums exactly, so that no model has to."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal, DivisionByZero, InvalidOperation, localcontext
from operator import add, mul, sub, truediv
from typing import Annotated

from pydantic import Field

from engine.errors import Refused
from tools._contract import Result, Run, Tool

Operation = Callable[[Decimal, Decimal], Decimal]

_TOKEN = re.compile(r"\d+(?:\.\d*)?|\.\d+|[-+*/()]")
_SUM: dict[str, Operation] = {"+": add, "-": sub}
_PRODUCT: dict[str, Operation] = {"*": mul, "/": truediv}
_DEEPEST = 50


@dataclass(frozen=True)
class Calculate(Tool):
    """Calculate the value of an expression of numbers, + - * / and parentheses, to two decimals."""

    examples = (
        "What is 48.90 plus 13.25?",
        "129.99 - 84.50",
        "how much is 3 * 17.80 together",
        "Could you add up 212.40, 98.15 and 33.05 for me, please?",
        "(45.5 + 20) / 2",
        "whats 15 percent of 240",
        "sum of 310.20 and 88.80?",
        "Please calculate the difference between 640.10 and 599.95.",
        "if I return the two lamps at 58.20 each, what does that make",
        "total of 19.99 19.99 and 7.49 pls",
        "Divide 1250.75 by 5 for me.",
        "calculate 72.3*4",
        "How much would I pay in all for 88.45 and 120.30?",
        "what do i get back if one costs 154.20 and the other 149.80",
        "Work out 1033.60 minus 250.00 minus 83.60.",
        "add 5.25 to 310",
        "How much would both of them cost together, 64.50 and 118.20?",
        "what's 20% off 89.90",
        "total for 3 bottles at 23.40 each",
        "Sum up the prices 48.10, 310.75 and 12.00.",
        "how much do I save if I take the 142.30 one and not the 165.80 one",
        "What is the price difference between 512.40 and 487.95?",
        "add these: 54.33 + 201.12 + 9.99",
        "If I pay 100 with a gift card, how much of 263.18 is left?",
        "compute 1899.90 / 12",
        "Multiply 46.85 by 6, please.",
        "so 227.10 minus 180 is what",
        "do the math for me, 75.20 plus 8.5 percent tax",
    )

    async def __call__(
        self,
        expression: Annotated[
            str,
            Field(
                pattern=r"[-+*/(). \d]+",
                min_length=1,
                max_length=200,
                description="Digits, + - * / ( ) . and spaces only, such as (45.5 + 20) / 2.",
            ),
        ],
        run: Run,
    ) -> Result:
        value = evaluate(expression)
        return Result(f"{expression.strip()} = {value}", {"value": value})


def evaluate(expression: str) -> str:
    """The value with two decimals, halves rounded away from zero; `Refused` when there is none."""
    if re.search(r"[^-+*/(). \d]", expression):
        raise Refused("I can only calculate with digits, + - * / ( ) . and spaces.")
    tokens = _TOKEN.findall(expression)
    if "".join(tokens) != expression.replace(" ", ""):
        raise Refused(f"I cannot read {expression.strip()} as a sum.")
    with localcontext(Context(prec=60, rounding=ROUND_HALF_UP)):
        try:
            parser = _Parser(tokens)
            value = parser.whole()
            rounded = value.quantize(Decimal("0.01")) + 0
        except DivisionByZero:
            raise Refused("Nothing can be divided by zero.") from None
        except InvalidOperation:
            raise Refused(f"I cannot calculate {expression.strip()}.") from None
    return str(rounded)


class _Parser:
    """Recursive descent: sum = product {+- product}, product = factor {*/ factor}."""

    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens[::-1]
        self._depth = 0

    def whole(self) -> Decimal:
        value = self._chain(_SUM)
        if self._tokens:
            raise Refused(f"I did not expect {self._tokens[-1]} there.")
        return value

    def _chain(self, operations: dict[str, Operation]) -> Decimal:
        operand = self._factor if operations is _PRODUCT else lambda: self._chain(_PRODUCT)
        value = operand()
        while self._tokens and self._tokens[-1] in operations:
            value = operations[self._tokens.pop()](value, operand())
        return value

    def _factor(self) -> Decimal:
        if not self._tokens:
            raise Refused("The sum ends too early.")
        symbol = self._tokens.pop()
        if symbol in "+-":
            return self._nested(self._factor) * (-1 if symbol == "-" else 1)
        if symbol == "(":
            value = self._nested(lambda: self._chain(_SUM))
            if not self._tokens or self._tokens.pop() != ")":
                raise Refused("A parenthesis is not closed.")
            return value
        if symbol in "*/)":
            raise Refused(f"I did not expect {symbol} there.")
        return Decimal(symbol)

    def _nested(self, read: Callable[[], Decimal]) -> Decimal:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise Refused("The sum is nested too deeply.")
        value = read()
        self._depth -= 1
        return value
