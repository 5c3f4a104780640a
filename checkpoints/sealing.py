"""What lies in the storage: compressed, and encrypted when there are keys.

A stored format. The first byte of sealed bytes tells what follows:

0x00  the plain bytes
0x01  the plain bytes, deflated, without header or checksum
0x02  length of the key id (1 byte), key id, nonce (12 bytes), and the AES-256-GCM ciphertext of
      sealed bytes of one of the formats above; the header and the context are authenticated
"""

import os
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from checkpoints.errors import Undecipherable

_RAW, _DEFLATED, _ENCRYPTED = b"\x00", b"\x01", b"\x02"
_NONCE_BYTES = 12
_RAW_DEFLATE = -15  # zlib's name for a window of 32 kB without header and checksum


@dataclass(frozen=True)
class Cipher:
    """Keys of 32 bytes by their id. The active one seals; the others open what they sealed before.

    An id is stored with all its key sealed and must stay with it. To retire a key make another
    active, which is due before it has sealed 2**32 values, and keep the old while its rows live.
    """

    keys: Mapping[str, bytes] = field(repr=False)
    active: str

    def __post_init__(self) -> None:
        if self.active not in self.keys:
            raise ValueError(f"there is no key {self.active!r}")
        for key_id, key in self.keys.items():
            if not 0 < len(key_id.encode()) < 256:
                raise ValueError("a key id has 1 to 255 bytes")
            if len(key) != 32:
                raise ValueError(f"key {key_id!r} has {len(key)} bytes, not 32")


class Sealing:
    """Plain bytes to stored bytes and back.

    With a cipher nothing opens but what its keys sealed, without one nothing encrypted.
    """

    def __init__(self, cipher: Cipher | None = None) -> None:
        self._keys: dict[bytes, AESGCM] = {}
        self._header = b""
        if cipher is not None:
            self._keys = {
                _header(key_id.encode()): AESGCM(key) for key_id, key in cipher.keys.items()
            }
            self._header = _header(cipher.active.encode())

    def seal(self, plain: bytes, context: bytes) -> bytes:
        """The bytes to store. They open only with the same `context`, if there is a cipher."""
        packed = _packed(plain)
        if not self._keys:
            return packed
        nonce = os.urandom(_NONCE_BYTES)
        key = self._keys[self._header]
        return self._header + nonce + key.encrypt(nonce, packed, self._header + context)

    def open(self, sealed: bytes, context: bytes) -> bytes:
        """The plain bytes. Raises `Undecipherable`."""
        if self._keys:
            sealed = self._decrypted(sealed, context)
        return _unpacked(sealed)

    def _decrypted(self, sealed: bytes, context: bytes) -> bytes:
        if sealed[:1] != _ENCRYPTED:
            raise Undecipherable("the stored bytes are not encrypted")
        body = 2 + sealed[1] if len(sealed) > 1 else 0
        header, nonce = sealed[:body], sealed[body : body + _NONCE_BYTES]
        key = self._keys.get(header)
        if key is None:
            raise Undecipherable(f"there is no key {header[2:].decode(errors='replace')!r}")
        try:
            return key.decrypt(nonce, sealed[body + _NONCE_BYTES :], header + context)
        except (InvalidTag, ValueError) as error:
            raise Undecipherable("the stored bytes are not what was sealed there") from error


def _header(key_id: bytes) -> bytes:
    return _ENCRYPTED + bytes([len(key_id)]) + key_id


def _packed(plain: bytes) -> bytes:
    deflated = zlib.compress(plain, level=1, wbits=_RAW_DEFLATE)
    return _DEFLATED + deflated if len(deflated) < len(plain) else _RAW + plain


def _unpacked(packed: bytes) -> bytes:
    if packed[:1] == _RAW:
        return packed[1:]
    if packed[:1] == _DEFLATED:
        try:
            return zlib.decompress(packed[1:], wbits=_RAW_DEFLATE)
        except zlib.error as error:
            raise Undecipherable("the stored bytes are damaged") from error
    if packed[:1] == _ENCRYPTED:
        raise Undecipherable("the stored bytes are encrypted, and there is no key")
    raise Undecipherable("the stored bytes are of no known format")
