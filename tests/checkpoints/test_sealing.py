import os
from dataclasses import FrozenInstanceError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkpoints.errors import Undecipherable
from checkpoints.sealing import Cipher, Sealing

OLD, NEW = bytes(range(32)), bytes(range(32, 64))
HERE, THERE = b"thread\0here", b"thread\0there"
PROSE = b"Your order was shipped on Tuesday and should be with you by Friday. " * 8
PLAIN = Sealing()
ENCRYPTED = Sealing(Cipher({"2026": OLD}, "2026"))

both = pytest.mark.parametrize("sealing", [PLAIN, ENCRYPTED], ids=["plain", "encrypted"])


@both
@given(plain=st.binary(max_size=2000), context=st.binary(max_size=50))
def test_any_bytes_open_as_they_were_sealed(sealing: Sealing, plain: bytes, context: bytes) -> None:
    assert sealing.open(sealing.seal(plain, context), context) == plain


@both
@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 3_000_000])
def test_bytes_of_any_length_open_as_they_were_sealed(sealing: Sealing, size: int) -> None:
    for plain in (b"a" * size, os.urandom(size)):
        assert sealing.open(sealing.seal(plain, HERE), HERE) == plain


def test_prose_is_compressed_and_what_would_not_shrink_grows_by_one_byte() -> None:
    noise = os.urandom(300)
    assert len(PLAIN.seal(PROSE, HERE)) < len(PROSE) / 4
    assert PLAIN.seal(noise, HERE) == b"\x00" + noise


def test_compression_comes_before_encryption() -> None:
    overhead = 1 + 1 + len("2026") + 12 + 16
    assert len(ENCRYPTED.seal(PROSE, HERE)) == len(PLAIN.seal(PROSE, HERE)) + overhead
    assert b"order" not in ENCRYPTED.seal(PROSE, HERE)


def test_without_a_cipher_the_same_bytes_are_sealed_the_same_and_with_one_never() -> None:
    assert PLAIN.seal(PROSE, HERE) == PLAIN.seal(PROSE, HERE)
    assert ENCRYPTED.seal(PROSE, HERE) != ENCRYPTED.seal(PROSE, HERE)


def test_what_was_sealed_by_earlier_versions_opens() -> None:
    plain, deflated = b"\x00plain", bytes.fromhex("014b4ca4140000")
    encrypted = bytes.fromhex(
        "02 04 32303236 000102030405060708090a0b4772ba7aac8bcc3f24cc8f09a24c23034c24a7ebe4a1"
    )
    assert PLAIN.open(plain, HERE) == b"plain"
    assert PLAIN.open(deflated, HERE) == b"a" * 66
    assert ENCRYPTED.open(encrypted, HERE) == b"plain"


@pytest.mark.parametrize("plain", [PROSE, b"", os.urandom(20)], ids=["deflated", "empty", "raw"])
def test_a_change_to_any_byte_is_found_out(plain: bytes) -> None:
    sealed = ENCRYPTED.seal(plain, HERE)
    for at in range(len(sealed)):
        for flip in (0x01, 0x80, 0xFF):
            changed = bytearray(sealed)
            changed[at] ^= flip
            with pytest.raises(Undecipherable):
                ENCRYPTED.open(bytes(changed), HERE)


def test_bytes_cut_off_or_added_are_found_out() -> None:
    sealed = ENCRYPTED.seal(PROSE, HERE)
    for changed in [sealed[:end] for end in range(len(sealed))] + [sealed + b"\0"]:
        with pytest.raises(Undecipherable):
            ENCRYPTED.open(changed, HERE)


def test_sealed_bytes_open_only_in_the_place_they_were_sealed_for() -> None:
    sealed = ENCRYPTED.seal(PROSE, HERE)
    for context in (THERE, b"", HERE + b"\0", HERE[:-1]):
        with pytest.raises(Undecipherable, match="not what was sealed there"):
            ENCRYPTED.open(sealed, context)


def test_another_key_of_the_same_id_opens_nothing() -> None:
    with pytest.raises(Undecipherable):
        Sealing(Cipher({"2026": NEW}, "2026")).open(ENCRYPTED.seal(PROSE, HERE), HERE)


def test_a_key_that_is_not_there_is_named() -> None:
    with pytest.raises(Undecipherable, match="there is no key '2026'"):
        Sealing(Cipher({"2027": OLD}, "2027")).open(ENCRYPTED.seal(PROSE, HERE), HERE)


def test_the_key_id_is_sealed_as_well() -> None:
    twins = Sealing(Cipher({"a": OLD, "b": OLD}, "a"))
    sealed = twins.seal(PROSE, HERE)
    with pytest.raises(Undecipherable):
        twins.open(sealed.replace(b"\x02\x01a", b"\x02\x01b", 1), HERE)


@pytest.mark.parametrize("plain", [PROSE, b"short"], ids=["deflated", "raw"])
def test_with_a_cipher_what_is_not_encrypted_is_refused(plain: bytes) -> None:
    with pytest.raises(Undecipherable, match="not encrypted"):
        ENCRYPTED.open(PLAIN.seal(plain, HERE), HERE)


def test_without_a_cipher_what_is_encrypted_is_refused() -> None:
    with pytest.raises(Undecipherable, match="encrypted, and there is no key"):
        PLAIN.open(ENCRYPTED.seal(PROSE, HERE), HERE)


def test_keys_rotate_while_what_the_old_one_sealed_still_opens() -> None:
    rotated = Sealing(Cipher({"2026": OLD, "2027": NEW}, "2027"))
    before, after = ENCRYPTED.seal(PROSE, HERE), rotated.seal(PROSE, HERE)
    assert rotated.open(before, HERE) == rotated.open(after, HERE) == PROSE
    with pytest.raises(Undecipherable, match="there is no key '2027'"):
        ENCRYPTED.open(after, HERE)
    with pytest.raises(Undecipherable, match="there is no key '2026'"):
        Sealing(Cipher({"2027": NEW}, "2027")).open(before, HERE)


@pytest.mark.parametrize("sealed", [b"", b"\x03abc", b"\xff", b"\x01", b"\x01\xff\xff"], ids=repr)
def test_bytes_of_no_known_format_are_undecipherable(sealed: bytes) -> None:
    for sealing in (PLAIN, ENCRYPTED):
        with pytest.raises(Undecipherable):
            sealing.open(sealed, HERE)


@pytest.mark.parametrize(
    ("keys", "active"),
    [
        ({}, "a"),
        ({"a": OLD}, "b"),
        ({"a": OLD[:16]}, "a"),
        ({"a": OLD, "b": b""}, "a"),
        ({"": OLD}, ""),
        ({"é" * 128: OLD}, "é" * 128),
    ],
)
def test_a_cipher_that_could_not_work_is_refused(keys: dict[str, bytes], active: str) -> None:
    with pytest.raises(ValueError, match="key"):
        Cipher(keys, active)


def test_a_key_id_may_be_as_long_as_255_bytes() -> None:
    sealing = Sealing(Cipher({"k" * 255: OLD}, "k" * 255))
    assert sealing.open(sealing.seal(PROSE, HERE), HERE) == PROSE


def test_a_cipher_keeps_its_keys_to_itself() -> None:
    keys = {"2026": OLD}
    cipher = Cipher(keys, "2026")
    assert repr(OLD) not in repr(cipher)
    assert "2026" in repr(cipher)
    with pytest.raises(FrozenInstanceError):
        cipher.active = "2027"  # type: ignore[misc]
