"""Word problems with random names and numbers, for ``ArithmeticSource``.

Each is a ``_Story``: the range of every number, and a function that writes the text and computes the answer. The
ranges are such that any numbers within them make sense.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np


def draw(rng: np.random.Generator, *, multi_step: bool) -> tuple[str, str, str]:
    """Return the text, the answer and the key of a random story; the names do not belong to the key."""
    stories = _MULTI_STEP if multi_step else _ONE_STEP
    index = int(rng.integers(0, len(stories)))
    first = int(rng.integers(0, len(_NAMES)))
    second = (first + int(rng.integers(1, len(_NAMES)))) % len(_NAMES)
    story = stories[index]
    numbers = [int(rng.integers(low, high + 1)) for low, high in story.ranges]
    text, answer = story.write(_NAMES[first], _NAMES[second], *numbers)
    kind = "multi-step" if multi_step else "one-step"
    return text, str(answer), f"{kind} story {index}: {' '.join(map(str, numbers))}"


@functools.cache
def charset(*, multi_step: bool) -> str:
    """Return every character that the stories and their answers can contain, sorted."""
    chars = set("0123456789" + "".join(_NAMES))
    for story in _MULTI_STEP if multi_step else _ONE_STEP:
        lows = [low for low, _ in story.ranges]
        for i, (low, high) in enumerate(story.ranges):
            for number in range(low, high + 1):
                chars.update(story.write(_NAMES[0], _NAMES[1], *lows[:i], number, *lows[i + 1 :])[0])
    return "".join(sorted(chars))


class _Story(NamedTuple):
    ranges: Sequence[tuple[int, int]]
    """The least and the greatest value of each number."""
    write: Callable[..., tuple[str, int]]
    """From two names and the numbers to the text and the answer."""


def _count(number: int, noun: str, plural: str = "") -> str:
    """Return "1 apple", "2 apples" or, with a plural of its own, "2 boxes"."""
    return f"{number} {noun}" if number == 1 else f"{number} {plural or noun + 's'}"


_NAMES = ("Ada", "Ben", "Chen", "Dina", "Emil", "Fatima", "Goran", "Hana", "Jaya", "Kofi", "Mateo", "Priya")
_PARTS = {2: "Half", 3: "One third", 4: "One quarter", 5: "One fifth"}
_PERCENTS = (10, 20, 25, 30, 40, 50, 60, 75, 80, 90)

# fmt: off
_ONE_STEP = (
    _Story(((1, 60), (1, 60)), lambda who, _, a, b: (
        f"{who} has {_count(a, 'apple')} and picks {b} more. How many apples does {who} have now?",
        a + b)),
    _Story(((1, 60), (2, 60)), lambda who, _, left, sold: (
        f"A baker makes {left + sold} rolls and sells {sold} of them. How many rolls are left?",
        left)),
    _Story(((2, 20), (2, 20)), lambda who, _, boxes, each: (
        f"There are {boxes} boxes with {each} pencils in each box. How many pencils are there in all?",
        boxes * each)),
    _Story(((2, 12), (2, 20)), lambda who, _, children, each: (
        f"{who} shares {children * each} cookies equally among {children} children. "
        "How many cookies does each child get?",
        each)),
    _Story(((2, 9), (6, 26)), lambda who, _, hours, fives: (
        f"A train travels at {5 * fives} kilometers per hour. How many kilometers does it travel in {hours} hours?",
        5 * fives * hours)),
    _Story(((2, 20), (1, 20)), lambda who, _, notebooks, price: (
        f"A notebook costs ${price}. How many dollars do {notebooks} notebooks cost?",
        notebooks * price)),
    _Story(((1, 89), (1, 2)), lambda who, _, price, tens: (
        f"{who} buys a toy for ${price} and pays with ${10 * (price // 10 + tens)}. "
        f"How many dollars of change does {who} get?",
        10 * (price // 10 + tens) - price)),
    _Story(((4, 40), (1, 25)), lambda who, other, age, older: (
        f"{who} is {age} years old. {other} is {_count(older, 'year')} older. How many years old is {other}?",
        age + older)),
    _Story(((5, 90), (5, 90)), lambda who, _, seen, left: (
        f"A film lasts {seen + left} minutes. {who} has watched {seen} minutes of it. "
        "How many minutes of the film are left?",
        left)),
    _Story(((2, 5), (2, 30)), lambda who, _, parts, each: (
        f"{_PARTS[parts]} of the {parts * each} marbles in a bag are red. How many marbles in the bag are red?",
        each)),
    _Story(((0, 9), (1, 30)), lambda who, _, percent, twenties: (
        f"A school has {20 * twenties} pupils, and {_PERCENTS[percent]}% of them walk to school. "
        "How many pupils walk to school?",
        20 * twenties * _PERCENTS[percent] // 100)),
    _Story(((1, 80), (2, 80)), lambda who, _, read, left: (
        f"{who} wants to read {read + left} pages this week and has read {_count(read, 'page')} so far. "
        f"How many more pages does {who} have to read?",
        left)),
    _Story(((5, 90), (2, 60)), lambda who, _, blue, longer: (
        f"A red ribbon is {blue + longer} centimeters long and a blue ribbon is {blue} centimeters long. "
        "How many centimeters longer is the red ribbon?",
        longer)),
    _Story(((2, 15), (2, 20)), lambda who, _, rows, chairs: (
        f"{rows * chairs} chairs stand in {rows} equal rows. How many chairs are in each row?",
        chairs)),
    _Story(((3, 9), (2, 30)), lambda who, other, times, shells: (
        f"{who} finds {shells} shells at the beach. {other} finds {times} times as many. "
        f"How many shells does {other} find?",
        times * shells)),
    _Story(((2, 20), (2, 20)), lambda who, _, weeks, saved: (
        f"{who} saves ${saved} every week. How many weeks does it take {who} to save ${weeks * saved}?",
        weeks)),
)
_MULTI_STEP = (
    _Story(((2, 9), (1, 9), (1, 9)), lambda who, _, books, price, pen: (
        f"{who} buys {books} notebooks for ${price} each and a pen for ${pen}. How many dollars does {who} spend?",
        books * price + pen)),
    _Story(((2, 9), (2, 11)), lambda who, _, tickets, price: (
        f"{who} buys {tickets} tickets for ${price} each and pays with a $100 bill. "
        f"How many dollars of change does {who} get?",
        100 - tickets * price)),
    _Story(((2, 12), (2, 12), (1, 30)), lambda who, _, rows, trees, more: (
        f"A farmer has {rows} rows of {trees} apple trees and plants {_count(more, 'pear tree')}. "
        "How many trees does the farmer have now?",
        rows * trees + more)),
    _Story(((2, 8), (2, 12), (1, 12)), lambda who, _, boxes, each, kept: (
        f"{who} bakes {boxes * each + kept} muffins, keeps {kept} and packs the others into {boxes} boxes, "
        "the same number in each box. How many muffins are in each box?",
        each)),
    _Story(((1, 5), (8, 20), (1, 5), (8, 20)), lambda who, _, hours, speed, more, speed_2: (
        f"{who} cycles for {_count(hours, 'hour')} at {speed} kilometers per hour and then for "
        f"{_count(more, 'hour')} at {speed_2} kilometers per hour. How many kilometers does {who} cycle in all?",
        hours * speed + more * speed_2)),
    _Story(((0, 9), (1, 12)), lambda who, _, percent, twenties: (
        f"A coat costs ${20 * twenties}. In the sale its price is {_PERCENTS[percent]}% lower. "
        "How many dollars does the coat cost in the sale?",
        20 * twenties * (100 - _PERCENTS[percent]) // 100)),
    _Story(((2, 5), (10, 40), (1, 9)), lambda who, _, parts, share, more: (
        f"A tank holds {parts * share} liters of water. {_PARTS[parts]} of the water is used on Monday and "
        f"{_count(more, 'liter')} on Tuesday. How many liters are left?",
        parts * share - share - more)),
    _Story(((3, 40), (1, 20)), lambda who, other, age, older: (
        f"{who} is {age} years old, and {other} is {_count(older, 'year')} older. "
        "What is the sum of their ages in years?",
        age + age + older)),
    _Story(((2, 12), (2, 18)), lambda who, _, weekday, weekend: (
        f"{who} plays the piano for {5 * weekday} minutes on each of the 5 days from Monday to Friday, and for "
        f"{5 * weekend} minutes on each of the 2 days of the weekend. "
        f"For how many minutes does {who} play in the whole week?",
        5 * 5 * weekday + 2 * 5 * weekend)),
    _Story(((2, 12), (2, 9), (2, 9)), lambda who, _, speed, minutes, copies: (
        f"A printer prints {speed} pages per minute. How many minutes does it take to print {copies} copies of a "
        f"report with {speed * minutes} pages?",
        minutes * copies)),
    _Story(((1, 60), (2, 15), (2, 12)), lambda who, _, saved, weekly, weeks: (
        f"{who} has ${saved} and saves ${weekly} more every week. After how many weeks does {who} have "
        f"the ${saved + weekly * weeks} that a bicycle costs?",
        weeks)),
    _Story(((2, 30), (3, 9)), lambda who, other, marbles, times: (
        f"{who} has {marbles} marbles, and {other} has {times} times as many. "
        "How many marbles do they have together?",
        marbles + marbles * times)),
    _Story(((2, 30), (1, 30)), lambda who, _, width, longer: (
        f"A rectangular garden is {width + longer} meters long and {width} meters wide. "
        "How many meters of fence does it take to go around the garden once?",
        2 * (width + longer + width))),
    _Story(((20, 60), (1, 9), (1, 9)), lambda who, _, mean, more, most: (
        f"{who} scores {mean + more} points in the first game, {mean - more - most} in the second and {mean + most} in "
        f"the third. What is the average number of points per game?",
        mean)),
    _Story(((2, 30), (2, 30), (2, 9), (1, 6)), lambda who, _, adults, children, price, extra: (
        f"A cinema sells {adults} tickets for adults at ${price + extra} each and {children} tickets for children at "
        f"${price} each. How many dollars does it take in?",
        adults * (price + extra) + children * price)),
    _Story(((1, 30), (2, 20), (1, 20)), lambda who, _, stay, off, on: (
        f"A bus carries {_count(stay + off, 'passenger')}. At the next stop {off} of them get off and "
        f"{_count(on, 'new passenger')} {'gets' if on == 1 else 'get'} on. How many passengers are on the bus now?",
        stay + on)),
    _Story(((2, 12), (1, 60)), lambda who, _, boxes, loose: (
        f"A farm shop has {12 * boxes + loose} eggs and sells {boxes} boxes of 12 eggs. How many eggs are left?",
        loose)),
)
# fmt: on
