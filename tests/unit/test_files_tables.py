"""Delimited text of many instruments as columns, spectra, records and line scans."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.errors import DataFileError
from orchestrator.files import read_profile, read_records, read_spectrum, read_table
from orchestrator.files.tables import split_title

HERTZ = np.geomspace(1e6, 1.0, 13)
OHM = 100.0 + 500.0 / (1.0 + 1j * HERTZ / 1e3)


def written(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    path = folder / "a.csv"
    path.write_bytes(text.encode(encoding))
    return path


def rows(form: str) -> str:
    return "".join(
        form.format(f=f, re=z.real, im=z.imag, neg=-z.imag, k=k)
        for k, (f, z) in enumerate(zip(HERTZ, OHM, strict=True))
    )


BIOLOGIC = (
    "EC-Lab ASCII FILE\nNb header lines : 4\n\nfreq/Hz\tRe(Z)/Ohm\t-Im(Z)/Ohm\t|Z|/Ohm\t\n"
    + rows("{f:.9e}\t{re:.9e}\t{neg:.9e}\t0.0\t\n")
)
GAMRY = (
    "EXPLAIN\nTAG\tEISPOT\nZCURVE\tTABLE\n\tPt\tTime\tFreq\tZreal\tZimag\tIdc\n"
    "\t#\ts\tHz\tohm\tohm\tA\n" + rows("\t{k}\t{k}\t{f:.9g}\t{re:.9g}\t{im:.9g}\t1e-6\n")
)
GERMAN = "Messung vom 26.11.2026\nf (kHz);Re (ohm);Im (ohm)\n" + "".join(
    f"{f / 1e3:.9g};{z.real:.9g};{z.imag:.9g}\n".replace(".", ",")
    for f, z in zip(HERTZ, OHM, strict=True)
)
PLAIN = "frequency_hz,re_ohm,im_ohm\n" + rows("{f:.9g},{re:.9g},{im:.9g}\n")
QUOTED = '"Frequency (Hz)","Z\' (Ω)","Z\'\' (Ω)"\n' + rows('"{f:.9g}","{re:.9g}","{im:.9g}"\n')
SPACES = "# freq/Hz   zreal/kohm  zimag/kohm\n" + "".join(
    f"  {f:.9g}  {z.real / 1e3:.9g}  {z.imag / 1e3:.9g}\n" for f, z in zip(HERTZ, OHM, strict=True)
)


@pytest.mark.parametrize("text", [BIOLOGIC, GAMRY, GERMAN, PLAIN, QUOTED])
def test_spectra_of_many_instruments_are_the_same(tmp_path, text):
    seen = read_spectrum(written(tmp_path, text))
    assert seen.frequency_hz == pytest.approx(HERTZ)
    assert seen.impedance_ohm == pytest.approx(OHM)
    assert seen.notes == ()


def test_a_title_behind_a_mark_of_remarks_counts(tmp_path):
    seen = read_spectrum(written(tmp_path, SPACES.replace("# ", "")))
    assert seen.impedance_ohm == pytest.approx(OHM)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
def test_any_encoding_of_an_instrument(tmp_path, encoding):
    text = "Gerät: µ-Zelle\n" + PLAIN
    assert read_spectrum(written(tmp_path, text, encoding)).impedance_ohm == pytest.approx(OHM)


def test_negated_imaginary_parts(tmp_path):
    path = written(tmp_path, "f/Hz,zre/ohm,zim/ohm\n" + rows("{f},{re},{neg}\n"))
    assert "--negated" in read_spectrum(path).notes[0]
    seen = read_spectrum(path, negated=True)
    assert seen.impedance_ohm == pytest.approx(OHM)
    assert seen.notes == ()


def test_missing_units_are_assumed_and_said_but_not_for_current(tmp_path):
    seen = read_spectrum(written(tmp_path, "f,re,im\n" + rows("{f},{re},{im}\n")))
    assert seen.notes == (
        "f: no unit, taken as Hz",
        "re: no unit, taken as ohm",
        "im: no unit, taken as ohm",
    )
    with pytest.raises(DataFileError, match=r"i: unit, got none, expected one of ma, a,.*I/mA"):
        read_records(written(tmp_path, "t,v,i\n0,1,2\n1,1,2\n"))


def test_records_in_the_units_of_their_titles(tmp_path):
    text = "time/min;Ewe/mV;<I>/A\n0;50,5;-1e-3\n1;51;-1e-3\n2;;-1e-3\n3;XXX;1\n"
    seen = read_records(written(tmp_path, text))
    assert seen.time_s == pytest.approx([0, 60])
    assert seen.voltage_v == pytest.approx([0.0505, 0.051])
    assert seen.current_ma == pytest.approx([-1, -1])
    assert seen.notes == ("2 rows without all numbers are left out",)


def test_names_of_this_framework(tmp_path):
    text = "t_s,voltage_v,current_ma\n0,0.05,0.1\n10,0.05,0.1\n"
    assert read_records(written(tmp_path, text)).current_ma == pytest.approx([0.1, 0.1])


def test_line_scans_with_and_without_errors(tmp_path):
    seen = read_profile(written(tmp_path, "distance (mm),Mg counts\n0.001,50\n0.002,40\n"))
    assert seen.depth_um == pytest.approx([1, 2])
    assert seen.errors is None
    seen = read_profile(written(tmp_path, "depth/um,magnesium,error\n1,0.05,0.01\n2,0.04,0.01\n"))
    assert seen.errors == pytest.approx([0.01, 0.01])


@pytest.mark.parametrize(
    ("title", "split"),
    [
        ("Ewe/V", ("ewe", "V")),
        ("-Im(Z)/Ohm", ("-im(z)", "Ohm")),
        ("I (mA)", ("i", "mA")),
        ("|Z| [Ohm]", ("|z|", "Ohm")),
        ("current_ma_per_cm2", ("current", "ma_per_cm2")),
        ("Time", ("time", "")),
        ("# freq/Hz", ("freq", "Hz")),
    ],
)
def test_titles(title, split):
    assert split_title(title) == split


def refusal(path: Path) -> str:
    with pytest.raises(DataFileError) as caught:
        read_spectrum(path)
    assert caught.value.who == str(path)
    return str(caught.value)


def test_what_cannot_be_read_says_why(tmp_path):
    assert "no header above rows" in refusal(written(tmp_path, "1,2,3\n4,5,6\n"))
    assert "no header" in refusal(written(tmp_path, "only words\nand more words\n"))
    assert (
        "column for imaginary part, got f/Hz, re/ohm (give one a title such as -Im(Z)"
        in refusal(written(tmp_path, "f/Hz,re/ohm\n1,2\n2,3\n"))
    )
    assert "re/furlong: unit, got furlong" in refusal(
        written(tmp_path, "f/Hz,re/furlong,im/ohm\n1,2,3\n")
    )
    (tmp_path / "a.csv").write_bytes(b"\x00\x01\x02" * 50)
    assert "is binary" in refusal(tmp_path / "a.csv")
    wide = ",".join(f"c{k}" for k in range(300)) + "\n" + ",".join(["1"] * 300) + "\n"
    assert "300 columns" in refusal(written(tmp_path, wide))
    nothing = written(tmp_path, "f/Hz,re/ohm,im/ohm,n\n1,2,-,4\n2,3,-,4\n")
    assert "got none with all numbers" in refusal(nothing)


def test_short_lines_are_left_out_and_said(tmp_path):
    table = read_table(written(tmp_path, "a/s,b/V\n1,2\n3\n5,6\nend\n"))
    assert table.columns[1].values.tolist() == [2, 6]
    assert table.notes == ("2 lines without 2 fields are left out",)


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.one_of(st.binary(min_size=1, max_size=400), st.text(min_size=1, max_size=400)))
def test_any_bytes_are_read_or_refused(tmp_path, content):
    path = tmp_path / "any.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "replace"))
    try:
        table = read_table(path)
    except DataFileError as error:
        assert error.remedy  # noqa: PT017
    else:
        assert len({len(column.values) for column in table.columns}) == 1


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    values=st.lists(
        st.tuples(*[st.floats(-1e9, 1e9).map(lambda v: round(v, 6))] * 3), min_size=1, max_size=20
    ),
    delimiter=st.sampled_from([",", ";", "\t", " "]),
    remarks=st.integers(0, 5),
)
def test_numbers_survive_any_delimiter(tmp_path, values, delimiter, remarks):
    lines = ["a remark"] * remarks + [delimiter.join(("t/s", "u/V", "i/mA"))]
    lines += [delimiter.join(repr(v) for v in row) for row in values]
    table = read_table(written(tmp_path, "\n".join(lines)))
    assert [column.name for column in table.columns] == ["t", "u", "i"]
    assert np.column_stack([c.values for c in table.columns]) == pytest.approx(np.array(values))
