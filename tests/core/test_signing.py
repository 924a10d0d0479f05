"""Signatures: OpenSSH accepts ours, we accept OpenSSH's, and nobody else's."""

import base64
import os
import shutil
import subprocess
from pathlib import Path
from typing import Protocol

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from hypothesis import given
from hypothesis import strategies as st
from protocol_samples import key_of

from filesync.errors import ConfigError, FilesyncError
from filesync.protocol.signing import ARMOR_CHARS_MAX, PublicKey, SignatureError, SigningKey, signer_of

MESSAGE = b'{"batch":"vendas.caixa-01.matriz"}'


class Ssh(Protocol):
    def __call__(self, *arguments: str | Path, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]: ...


@pytest.fixture(scope="session")
def ssh_keygen() -> Ssh:
    program = shutil.which("ssh-keygen")
    if program is None:
        reason = "ssh-keygen (OpenSSH client, 8.2 or newer) is not installed"
        if os.environ.get("CI") == "true":
            pytest.fail(f"{reason}: in CI these proofs are not optional")
        pytest.skip(reason)

    def run(*arguments: str | Path, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [program, *arguments], input=stdin, capture_output=True, check=False, timeout=30
        )

    return run


def _private_file(path: Path, key: SigningKey) -> Path:
    path.touch(mode=0o600)  # OpenSSH refuses a private key that others can read
    path.write_bytes(key.to_openssh())
    return path


def _verify(ssh_keygen: Ssh, folder: Path, key: PublicKey, message: bytes, armored: str) -> bool:
    (folder / "allowed").write_text(f'caixa-01 namespaces="filesync" {key.to_openssh()}\n', encoding="ascii")
    (folder / "sig").write_text(armored, encoding="ascii", newline="")
    done = ssh_keygen(
        *("-Y", "verify", "-f", folder / "allowed", "-I", "caixa-01", "-n", "filesync", "-s", folder / "sig"),
        stdin=message,
    )
    return done.returncode == 0


@pytest.mark.parametrize("message", [b"", MESSAGE, bytes(range(256)) * 400], ids=["empty", "short", "long"])
def test_openssh_accepts_our_signature(ssh_keygen: Ssh, tmp_path: Path, message: bytes) -> None:
    key = SigningKey.generate()
    armored = key.sign(message)
    assert _verify(ssh_keygen, tmp_path, key.public, message, armored)
    assert not _verify(ssh_keygen, tmp_path, key.public, message + b" ", armored)
    assert not _verify(ssh_keygen, tmp_path, key_of(2).public, message, armored)
    checked = ssh_keygen("-Y", "check-novalidate", "-n", "filesync", "-s", tmp_path / "sig", stdin=message)
    assert checked.returncode == 0
    assert key.public.fingerprint.encode() in checked.stdout
    assert (
        ssh_keygen("-Y", "check-novalidate", "-n", "file", "-s", tmp_path / "sig", stdin=message).returncode
        != 0
    )


@pytest.mark.parametrize("message", [b"", MESSAGE, bytes(range(256)) * 400], ids=["empty", "short", "long"])
def test_we_accept_openssh_s_signature_with_openssh_s_key(
    ssh_keygen: Ssh, tmp_path: Path, message: bytes
) -> None:
    path = tmp_path / "key"
    assert ssh_keygen("-q", "-t", "ed25519", "-N", "", "-C", "caixa 01 à direita", "-f", path).returncode == 0
    done = ssh_keygen("-Y", "sign", "-f", path, "-n", "filesync", stdin=message)
    armored = done.stdout.decode("ascii")
    key = SigningKey.from_openssh(path.read_bytes())
    public = PublicKey.from_openssh((tmp_path / "key.pub").read_text(encoding="utf-8"))
    assert key.public == public == signer_of(armored)
    public.verify(message, armored)
    assert key.sign(message) == armored  # byte for byte: Ed25519 draws no randomness
    assert public.to_openssh("caixa 01 à direita") + "\n" == (tmp_path / "key.pub").read_text(
        encoding="utf-8"
    )
    assert public.fingerprint.encode() in ssh_keygen("-l", "-f", tmp_path / "key.pub").stdout


def test_openssh_reads_our_key(ssh_keygen: Ssh, tmp_path: Path) -> None:
    key = SigningKey.generate()
    path = _private_file(tmp_path / "key", key)
    assert ssh_keygen("-y", "-f", path).stdout.decode().strip() == key.public.to_openssh()
    armored = ssh_keygen("-Y", "sign", "-f", path, "-n", "filesync", stdin=MESSAGE).stdout.decode()
    assert armored == key.sign(MESSAGE)


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (("-n", "file"), "signature-malformed"),
        (("-n", "filesync", "-O", "hashalg=sha256"), "signature-malformed"),
    ],
)
def test_a_signature_of_ours_for_another_purpose_is_refused(
    ssh_keygen: Ssh, tmp_path: Path, options: tuple[str, ...], code: str
) -> None:
    key = key_of(1)
    path = _private_file(tmp_path / "key", key)
    armored = ssh_keygen("-Y", "sign", "-f", path, *options, stdin=MESSAGE).stdout.decode()
    assert armored.startswith("-----BEGIN SSH SIGNATURE-----\n")
    _refused(code, key.public, MESSAGE, armored)


@pytest.mark.parametrize("kind", ["rsa", "ecdsa"])
def test_a_key_of_another_kind_is_refused(ssh_keygen: Ssh, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "key"
    assert ssh_keygen("-q", "-t", kind, "-N", "", "-f", path).returncode == 0
    with pytest.raises(ConfigError, match="expected Ed25519, got"):
        SigningKey.from_openssh(path.read_bytes())
    with pytest.raises(ConfigError, match="expected one line `ssh-ed25519"):
        PublicKey.from_openssh((tmp_path / "key.pub").read_text())
    armored = ssh_keygen("-Y", "sign", "-f", path, "-n", "filesync", stdin=MESSAGE).stdout.decode()
    _refused("signature-malformed", key_of(1).public, MESSAGE, armored)


def test_a_key_with_a_passphrase_is_refused(ssh_keygen: Ssh, tmp_path: Path) -> None:
    path = tmp_path / "key"
    assert ssh_keygen("-q", "-t", "ed25519", "-N", "secret", "-f", path).returncode == 0
    with pytest.raises(ConfigError, match="unencrypted OpenSSH file") as caught:
        SigningKey.from_openssh(path.read_bytes())
    assert caught.value.code == "key-unreadable"


def _refused(code: str, key: PublicKey, message: bytes, armored: str | None) -> None:
    with pytest.raises(SignatureError) as caught:
        key.verify(message, armored)
    assert (caught.value.code, "expected" in str(caught.value), len(str(caught.value)) < 300) == (
        code,
        True,
        True,
    )


def test_missing_foreign_and_wrong_are_told_apart() -> None:
    key, other = key_of(1), key_of(2)
    key.public.verify(MESSAGE, key.sign(MESSAGE))
    _refused("signature-missing", key.public, MESSAGE, None)
    _refused("signature-foreign", key.public, MESSAGE, other.sign(MESSAGE))
    _refused("signature-wrong", key.public, MESSAGE + b"\n", key.sign(MESSAGE))
    with pytest.raises(SignatureError) as caught:
        other.public.verify(MESSAGE, key.sign(MESSAGE))
    assert (
        str(caught.value)
        == f"signature: expected key {other.public.fingerprint}, got key {key.public.fingerprint}"
    )
    with pytest.raises(SignatureError) as caught:
        signer_of(None)
    assert caught.value.code == "signature-missing"


def test_a_signature_that_names_the_pinned_key_but_is_another_s_is_wrong() -> None:
    """The key inside a signature is a claim; the pinned key decides."""
    key, forger = key_of(1), key_of(2)
    forged = _blob(forger.sign(MESSAGE)).replace(forger.public.raw, key.public.raw)
    _refused("signature-wrong", key.public, MESSAGE, _armor(forged))


def _blob(armored: str) -> bytes:
    return base64.b64decode("".join(armored.splitlines()[1:-1]))


def _armor(blob: bytes) -> str:
    return f"-----BEGIN SSH SIGNATURE-----\n{base64.b64encode(blob).decode()}\n-----END SSH SIGNATURE-----\n"


def _with(old: bytes, new: bytes) -> str:
    blob = _blob(key_of(1).sign(MESSAGE))
    assert blob.count(old) >= 1
    return _armor(blob.replace(old, new, 1))


@pytest.mark.parametrize(
    "armored",
    [
        "",
        "x",
        "-----BEGIN SSH SIGNATURE-----\n-----END SSH SIGNATURE-----\n",
        "-----BEGIN SSH SIGNATURE-----\n\n-----END SSH SIGNATURE-----\n",
        "-----BEGIN SSH SIGNATURE-----\nU1NIU0lH\n-----END SSH SIGNATURE-----\n",
        "-----BEGIN SSH SIGNATURE-----\nU1NIU0l=H\n-----END SSH SIGNATURE-----\n",
        "-----BEGIN SSH SIGNATURE-----\nU1N\n-----END SSH SIGNATURE-----\n",
        key_of(1).sign(MESSAGE) + key_of(1).sign(MESSAGE),
        key_of(1).sign(MESSAGE) + "x",
        "x" + key_of(1).sign(MESSAGE),
        key_of(1).sign(MESSAGE).replace("\n", " "),
        key_of(1).sign(MESSAGE).replace("U1NIU0lH", "U1NIÇ0lH"),
        "-----BEGIN SSH SIGNATURE-----\n" + "A" * ARMOR_CHARS_MAX + "\n-----END SSH SIGNATURE-----\n",
        "\ud800",
        _with(b"SSHSIG", b"SSHSIH"),
        _with(b"\0\0\0\x01", b"\0\0\0\x02"),
        _with(b"filesync", b"filesynk"),
        _with(b"sha512", b"sha256"),
        _with(b"\0\0\0\0", b"\0\0\0\x01x"),  # the reserved field
        _with(b"ssh-ed25519", b"ssh-ed25518"),
        _with(b"\0\0\0\x40", b"\0\0\0\x3f"),
        _with(b"\0\0\0\x33", b"\xff\xff\xff\xff"),
        _armor(_blob(key_of(1).sign(MESSAGE)) + b"\0"),
        _armor(_blob(key_of(1).sign(MESSAGE))[:-1]),
    ],
    ids=lambda text: None if text.isascii() and len(text) < 100 else "sig",
)
def test_what_is_no_signature_of_ours_is_malformed(armored: str) -> None:
    _refused("signature-malformed", key_of(1).public, MESSAGE, armored)


def test_a_signature_of_another_length_is_malformed() -> None:
    """Also when every length around it fits."""
    blob = _blob(key_of(1).sign(MESSAGE))
    head, inner, signature = blob[:-87], blob[-83:-68], blob[-64:]
    assert len(inner) == 15
    assert _armor(head + _field(inner + _field(signature))) == _armor(blob)
    for cut in (0, 63):
        _refused(
            "signature-malformed",
            key_of(1).public,
            MESSAGE,
            _armor(head + _field(inner + _field(signature[:cut]))),
        )


def _field(value: bytes) -> bytes:
    return len(value).to_bytes(4, "big") + value


def test_a_signature_has_a_greatest_size() -> None:
    armored = key_of(1).sign(MESSAGE)
    for lines, fits in (
        (0, True),
        (ARMOR_CHARS_MAX - len(armored), True),
        (ARMOR_CHARS_MAX - len(armored) + 1, False),
    ):
        padded = armored.replace("\n", "\n" * (lines + 1), 1)
        if fits:
            key_of(1).public.verify(MESSAGE, padded)
        else:
            _refused("signature-malformed", key_of(1).public, MESSAGE, padded)


def test_windows_line_ends_do_no_harm() -> None:
    key_of(1).public.verify(MESSAGE, key_of(1).sign(MESSAGE).replace("\n", "\r\n"))
    key_of(1).public.verify(MESSAGE, key_of(1).sign(MESSAGE).rstrip("\n"))


@given(st.data())
def test_no_changed_byte_is_accepted(data: st.DataObject) -> None:
    blob = bytearray(_blob(key_of(1).sign(MESSAGE)))
    at = data.draw(st.integers(0, len(blob) - 1))
    blob[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(SignatureError):
        key_of(1).public.verify(MESSAGE, _armor(bytes(blob)))


@given(st.binary(max_size=300), st.text(max_size=300))
def test_hostile_signatures_end_in_a_signature_error(blob: bytes, text: str) -> None:
    for armored in (_armor(blob), _armor(b"SSHSIG\0\0\0\x01" + blob), text):
        with pytest.raises(SignatureError):
            key_of(1).public.verify(MESSAGE, armored)


@given(st.binary())
def test_every_message_signed_is_verified(message: bytes) -> None:
    key_of(3).public.verify(message, key_of(3).sign(message))


def test_keys_survive_their_files() -> None:
    key = SigningKey.generate()
    again = SigningKey.from_openssh(key.to_openssh())
    assert again.public == key.public
    assert again.sign(MESSAGE) == key.sign(MESSAGE)
    assert PublicKey.from_openssh(key.public.to_openssh("caixa-01 balcão")) == key.public
    assert PublicKey.from_openssh(key.public.to_openssh() + "\n") == key.public
    assert SigningKey.generate().public != key.public


def test_a_private_key_is_never_shown() -> None:
    key = key_of(1)
    assert repr(key) == f"SigningKey({key.public.fingerprint})"
    assert key.public.fingerprint.startswith("SHA256:")


def _foreign_pem() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )


def _pkcs8_pem() -> bytes:
    key = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32))
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


@pytest.mark.parametrize(
    "pem",
    [
        b"",
        b"\0" * 100,
        b"-----BEGIN OPENSSH PRIVATE KEY-----\n",
        key_of(1).to_openssh()[:150],
        _foreign_pem(),
        _pkcs8_pem(),
    ],
    ids=["empty", "zeros", "head", "cut", "ecdsa", "pkcs8"],
)
def test_an_unreadable_private_key(pem: bytes) -> None:
    with pytest.raises(ConfigError, match="private key: expected") as caught:
        SigningKey.from_openssh(pem)
    assert caught.value.code == "key-unreadable"


@given(st.binary())
def test_arbitrary_private_key_files_end_in_a_config_error(pem: bytes) -> None:
    for data in (pem, b"-----BEGIN OPENSSH PRIVATE KEY-----\n" + base64.b64encode(b"openssh-key-v1\0" + pem)):
        with pytest.raises(ConfigError):
            SigningKey.from_openssh(data)


_LINE = key_of(1).public.to_openssh()


@pytest.mark.parametrize(
    "line",
    [
        "",
        "\n",
        "ssh-ed25519",
        "ssh-rsa AAAAB3NzaC1yc2E= x",
        "ssh-ed25519 ???",
        "ssh-ed25519 AAAA",
        "ssh-ed25519 AAAAB3NzaC1yc2E=",
        _LINE[:-4],
        _LINE + "AAAA",
        f"{_LINE}\n{_LINE}",
        f"from=x {_LINE}",
        f"# {_LINE}",
        "ssh-ed25519 AAAAé",
    ],
    ids=range(13),
)
def test_an_unreadable_public_key(line: str) -> None:
    with pytest.raises(ConfigError, match="public key: expected") as caught:
        PublicKey.from_openssh(line)
    assert caught.value.code == "key-unreadable"
    assert isinstance(caught.value, FilesyncError)


@given(st.text(), st.binary())
def test_arbitrary_public_key_lines_end_in_a_config_error(text: str, blob: bytes) -> None:
    for line in (text, f"ssh-ed25519 {text}", f"ssh-ed25519 {base64.b64encode(blob).decode()}"):
        with pytest.raises(ConfigError):
            PublicKey.from_openssh(line)


def test_a_public_key_has_32_bytes() -> None:
    with pytest.raises(ValueError, match="expected 32 bytes, got 31"):
        PublicKey(bytes(31))
