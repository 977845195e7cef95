"""The CSV."""

from dataclasses import asdict
from pathlib import Path

import pytest

from benchmarks import table
from benchmarks.measurement import Measurement, measured
from benchmarks.rate import Rate
from tests.benchmarks.support import NOTES, a_load, a_rate, measurements


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "table.csv"
    rows = measurements(1, 5)
    table.write(path, NOTES, rows)
    found = table.read(path, Measurement)
    assert found.notes == NOTES
    for read, written in zip(found.rows, rows, strict=True):
        assert asdict(read) == pytest.approx(asdict(written), abs=0.0001)


def test_figures_that_do_not_exist_are_read_again(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    row = measured(a_load("publish", errors=1), "publish", "peer", 1, 1)
    table.write(path, {}, [row])
    assert asdict(table.read(path, Measurement).rows[0]) == pytest.approx(asdict(row), nan_ok=True)


def test_any_kind_of_row_is_written_and_read_again(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    rows = [a_rate("naive"), a_rate("peerbus, 1,000 a request", "naive")]
    table.write(path, NOTES, rows)
    assert [asdict(row) for row in table.read(path, Rate).rows] == [
        pytest.approx(asdict(row), nan_ok=True) for row in rows
    ]
    with pytest.raises(table.TableError, match="not a table"):
        table.read(path, Measurement)


@pytest.mark.parametrize("text", ["call,via\npublish,peer\n", "call\n" * 3, "\0\n1,2\n"])
def test_another_table_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "table.csv"
    path.write_text(text)
    with pytest.raises(table.TableError, match=r"table\.csv"):
        table.read(path, Measurement)


def test_no_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(table.TableError, match="cannot be read"):
        table.read(tmp_path / "table.csv", Measurement)
