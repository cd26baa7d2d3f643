"""A chain of options from a reader's own file: what is read, what is refused in one line, and a real chain."""

from pathlib import Path

import numpy as np
import pytest

from enm5310 import decisions
from enm5310.datasets import load_option_chain

REAL = Path(__file__).resolve().parents[2] / "shared" / "data" / "sp500_options_2013-04-19.csv"
HEADER = "note,delta.c,strike,bid.c,ask.c,impvol.c"
LINES = ["a,0.9,90,11.5,12,22.5", "b,0.55,100,4,4.5,20", "c,0.1,110,0,0.25,21"]


def chain(tmp_path, *lines, header=HEADER):
    path = tmp_path / "chain.csv"
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return path


def test_columns_are_found_by_name_and_per_cent_become_fractions(tmp_path):
    calls = load_option_chain(chain(tmp_path, *LINES))
    np.testing.assert_array_equal(calls.strike, [90, 100, 110])
    np.testing.assert_array_equal(calls.bid, [11.5, 4, 0])
    np.testing.assert_array_equal(calls.ask, [12, 4.5, 0.25])
    np.testing.assert_allclose(calls.impvol, [0.225, 0.2, 0.21])
    np.testing.assert_array_equal(calls.delta, [0.9, 0.55, 0.1])
    assert calls.strike.dtype == float and "3 strikes from 90 to 110" in calls.DESCR


def test_a_spreadsheet_s_byte_order_mark_and_line_ends_do_no_harm(tmp_path):
    path = tmp_path / "chain.csv"
    plain = HEADER.removeprefix("note,") + "\n" + "\n".join(line[2:] for line in LINES) + "\n"
    path.write_bytes(b"\xef\xbb\xbf" + plain.replace("\n", "\r\n").encode())
    assert load_option_chain(path).strike.tolist() == [90, 100, 110]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("d,0.1,120,0.5,0.25,21", "bid 0.5, ask 0.25"),
        ("d,0.1,120,-1,0.25,21", "bid -1"),
        ("d,0.1,0,0,0.25,21", "strike is 0"),
        ("d,1.5,120,0,0.25,21", "delta.c is 1.5"),
        ("d,-0.1,120,0,0.25,21", "delta.c is -0.1"),
        ("d,0.1,120,0,0.25,-3", "impvol.c is -3"),
        ("d,0.1,120,0,0.25,many", "impvol.c is 'many'"),
        ("d,0.1,120,0,0.25", "impvol.c is None"),
        ("d,nan,120,0,0.25,21", "finite"),
        ("d,0.1,120,0,inf,21", "finite"),
        ("d,,120,0,1,21", "delta.c is ''"),
    ],
)
def test_an_odd_line_is_named_in_one_line(tmp_path, line, words):
    with pytest.raises(ValueError, match="line 5") as told:
        load_option_chain(chain(tmp_path, *LINES, line))
    assert words in str(told.value) and "\n" not in str(told.value) and "chain.csv" in str(told.value)


def test_missing_columns_an_empty_file_and_a_file_without_options_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"no column ask.c, delta.c; the header needs strike, bid.c"):
        load_option_chain(chain(tmp_path, header="strike,bid.c,impvol.c"))
    with pytest.raises(ValueError, match="no options"):
        load_option_chain(chain(tmp_path))
    empty = tmp_path / "empty.csv"
    empty.write_bytes(b"")
    with pytest.raises(ValueError, match="no column strike"):
        load_option_chain(empty)
    with pytest.raises(FileNotFoundError):
        load_option_chain(tmp_path / "nowhere.csv")
    empty.write_bytes(b"strike,\xff\xfe")
    with pytest.raises(ValueError, match="no CSV file in UTF-8"):
        load_option_chain(empty)


@pytest.mark.skipif(not REAL.exists(), reason="the chain of 2013-04-19 is not part of the project")
def test_black_scholes_agrees_with_a_real_chain():
    """S&P 500, 19 April 2013: the index closed at 1555.25, 62 days were left; no interest, no dividends."""
    calls = load_option_chain(REAL)
    assert len(calls.strike) == 171
    near = (calls.strike >= 1450) & (calls.strike <= 1660)
    greeks = decisions.black_scholes(1555.25, calls.strike[near], 0.0, calls.impvol[near], 62 / 365)
    assert np.all((calls.bid[near] <= greeks.price) & (greeks.price <= calls.ask[near]))
    assert np.max(np.abs(greeks.delta - calls.delta[near])) < 0.006
