"""Maps: only what is allowed gets in, and what HAProxy reports is what was put in."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from willis.engines.haproxy import maps
from willis.engines.haproxy.files import HaproxyFiles
from willis.engines.haproxy.write import TokenError

FILES = HaproxyFiles.under(Path("/run/willis"), Path("/var/lib/willis"))
TITLES = st.from_regex(r"\A(?!#)[A-Za-z0-9_.#/@:+&!-]{1,16}\Z")


@pytest.mark.parametrize("entry", ["two words", "line\n", "", 'quote"', "ümlaut"])
def test_nothing_else_stands_in_a_map(entry: str) -> None:
    with pytest.raises(TokenError):
        maps.lines({entry: "1"})


def test_a_name_cannot_leave_the_directory() -> None:
    with pytest.raises(TokenError):
        maps.place(FILES, "../haproxy")


def test_a_configuration_names_its_maps() -> None:
    text = f"    use_backend %[var(x),map({maps.place(FILES, 'Dicom.routes').text})]\n"
    assert maps.named(text, FILES.maps) == ["Dicom.routes"]


@given(st.dictionaries(TITLES, st.just("1"), max_size=1500))
def test_commands_carry_every_line_once_and_each_fits_the_buffer(entries: dict[str, str]) -> None:
    held = maps.lines(entries)
    *adds, commit = maps.commands(Path("/m"), held, 7)
    assert commit == "commit map @7 /m"
    assert all(len(command) < 16_000 for command in adds)
    payload = "".join(command.partition("<<\n")[2] for command in adds)
    assert payload == maps.file_text(held)
    assert maps.parse("".join(f"0x7f00 {line}\n" for line in held)) == held


def test_a_refused_version_is_noticed() -> None:
    assert maps.version("New version created: 3\n\n") == 3
    assert maps.version("Unknown map identifier.\n") is None


def test_a_value_may_have_spaces_inside_and_is_read_back_whole() -> None:
    held = maps.lines({"CT1": "CT one  b@c"})
    assert maps.parse(f"0x56420c4f51b0 {held[0]}\n\n") == held


def test_nothing_becomes_a_comment() -> None:
    with pytest.raises(TokenError):
        maps.lines({"#CT1": "ct1.example"})
