"""Objects as JSON: what travels is what the module `json` makes of it, without its NaN and infinities, in both directions, whoever of the two did it."""

import json
import math
import random

import pytest

import procs

STRINGS = ["", "plain", 'quo"te', "back\\slash", "line\nfeed\r\t\b\f", "\x00\x1f\x7f", "üñí\u2028\U0001f600", "\ud800", "x" * 5000, "NODE_"]
NUMBERS = [0, -1, 7, 2**63 - 1, -(2**63), 2**63, 10**30, 0.0, -0.0, 1.5, 1e-7, 1e22, 5e-324, 1.7976931348623157e308, math.pi]
VALUES = [None, True, False, *STRINGS, *NUMBERS]


class Text(str):
    """A class of the user: `json` takes it for a string."""


class Number(int):
    """As `Text`."""


def made(chance, depth=3):
    """A value of any kind."""
    kind = chance.randrange(4 if depth else 2)
    if kind < 2:
        return chance.choice(VALUES)
    size = chance.randrange(4)
    if kind == 2:
        return [made(chance, depth - 1) for _ in range(size)]
    return {chance.choice(STRINGS): made(chance, depth - 1) for _ in range(size)}


def expected_text(value):
    """As the channel writes it."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    try:
        return text.encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":")).encode()


def deep(levels):
    """A list in a list."""
    value = []
    for _ in range(levels):
        value = [value]
    return value


def same(found, value):
    """Equal, and of the same classes all through; a NaN that somebody else has written is itself."""
    return repr(found) == repr(value)


def special():
    """What is not plain."""
    return [
        (1, "two", [3.5]), {1: "a", None: "b", True: "c", 2.5: "d"}, Text("mine"), Number(5), [Text("a"), Number(6)], {Text("k"): 1},
        deep(200), ["y" * 5000], list(range(3000)), {str(index): index for index in range(1000)},
    ]


def test_values_travel_as_json_writes_them():
    """2,000 values by chance, and those that need care."""
    chance = random.Random(7)
    here, there = procs.Channel.pair(ring_bytes=1 << 20)
    with here, there:
        for value in [*VALUES, *special(), *(made(chance) for _ in range(2_000))]:
            text = expected_text(value)
            here.send(value)
            assert there.recv_bytes() == text, value
            here.send(value)
            assert same(there.recv(), json.loads(text)), value


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_what_is_no_json_is_not_sent(number):
    """`json` would write it, and no other language could read it; a Node script would end by it."""
    here, there = procs.Channel.pair()
    with here, there:
        for value in (number, [number], {"a": [1, {"b": number}]}, ["\ud800", number], [number] * 5000):
            with pytest.raises(ValueError, match="not JSON compliant"):
                here.send(value)
        here.send("next")
        assert there.recv() == "next"


TEXTS = [
    " 1 ", "\t[ 1 , 2 ]\r\n", '{ "a" : { "b" : [ ] } , "c" : { } }', '{"a":1,"a":2}', "-0", "-0.0", "1E5", "1e+5", "1.25e-3", "1e999", "-1e999",
    "123456789012345678901234567890", '"\\u00e9\\ud83d\\ude00\\ud800\\n"', '"\\/"', "NaN", "Infinity", "-Infinity", "[NaN]", "[]", "{}", '[""]',
    "nul", "nulll", "true1", "tru", "", " ", "01", "-", "-01", "1.", ".5", "1.e5", "1e", "1e+", "+1", "[1,]", "[,1]", "[1 2]", "[1", "]", "{",
    '{"a"}', '{"a":}', '{"a":1,}', "{a:1}", "{1:2}", '{"a" 1}', '"open', '"tab\there"', '"\x01"', "'a'", "[1]]", "1 2", '{"a":1}}', "\u00a01",
    "[" * 100 + "]" * 100, "[" * 33 + "]" * 33, "[" * 32 + "]" * 32, "[" * 32, '"' + "z" * 5000 + '"',
]


@pytest.mark.parametrize("text", TEXTS)
def test_texts_are_read_as_json_reads_them(text):
    """The same value, or the same refusal."""
    here, there = procs.Channel.pair()
    with here, there:
        here.send_message(text.encode(), codec="json")
        try:
            expected = json.loads(text)
        except ValueError as error:
            with pytest.raises(type(error)) as found:
                there.recv()
            assert str(found.value) == str(error)
        else:
            assert same(there.recv(), expected)


def test_what_is_no_json_is_refused():
    """As `json` refuses it."""
    here, there = procs.Channel.pair()
    circle = []
    circle.append(circle)
    with here, there:
        for value, error in [({1, 2}, TypeError), (b"bytes", TypeError), ({(1, 2): 3}, TypeError), (circle, (ValueError, RecursionError))]:
            with pytest.raises(error):
                here.send(value)
            with pytest.raises(error):
                here.send([1, {"a": value}])
        here.send("still there")
        assert there.recv() == "still there"
