"""Where contracts are found: the schemas packed with the program, each read when it is first asked for.

The only module of the core that reads files, and only from schemas/. A schema's file name is its dataset and version,
`vendas.v1.json`; what it holds must agree. What is not here: contracts that a site adds (config.py hands them in).
"""

from __future__ import annotations

import json
import re
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from filesync.contracts.annotations import read_definition
from filesync.contracts.compatibility import breaks
from filesync.contracts.contract import Contract
from filesync.contracts.keywords import Problems
from filesync.contracts.model import BreakingError, ContractError, SchemaProblem

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_FILE_NAME: Final = re.compile("([a-z][a-z0-9]*)\\.v([1-9][0-9]{0,8})\\.json").fullmatch


@cache
def schemas_folder() -> Path:
    """schemas/ as it is installed beside this package, or as it stands in a checkout."""
    package = Path(__file__).resolve().parents[1]
    packed = package / "schemas"
    return packed if packed.is_dir() else package.parents[1] / "schemas"


class Registry:
    """Contracts by dataset and version."""

    def __init__(self, contracts: Iterable[Contract] = (), *, folder: Path | None = None) -> None:
        self._contracts = {(contract.dataset, contract.version): contract for contract in contracts}
        self._files: dict[tuple[str, int], Path] = {}
        self._forms: dict[str, Contract] = {}
        if folder is not None:
            for path in sorted(folder.glob("*.json")):
                if found := _FILE_NAME(path.name):
                    self._files[found[1], int(found[2])] = path

    @classmethod
    def packaged(cls) -> Registry:
        """The contracts that are shipped with this program; one registry for the whole process."""
        return _packaged()

    def get(self, dataset: str, version: int) -> Contract | None:
        """The contract, or None where it is not known here (yet)."""
        known = self._contracts.get((dataset, version))
        path = self._files.get((dataset, version))
        if known is not None or path is None:
            return known
        contract = load_contract(path)
        if (contract.dataset, contract.version) != (dataset, version):
            found = SchemaProblem("/x-filesync", f"expected {dataset}.v{version}, got {contract.name}")
            raise ContractError(path.name, [found])
        return self._contracts.setdefault((dataset, version), contract)

    def latest(self, dataset: str) -> Contract | None:
        """The newest version of a dataset, or None."""
        known = self.known(dataset)
        return self.get(dataset, known[-1]) if known else None

    def form(self, dataset: str) -> Contract | None:
        """The newest version, in whose form documents of every version are stored; None where there is none.

        BreakingError where a version cannot stand beside the one before it.
        """
        form = self._forms.get(dataset)
        if form is None:
            contracts = [
                contract for version in self.known(dataset) if (contract := self.get(dataset, version))
            ]
            for old, new in pairwise(contracts):
                if problems := breaks(new, old):
                    raise BreakingError(new.name, old.name, problems)
            if not contracts:
                return None
            form = self._forms[dataset] = contracts[-1]
        return form

    def known(self, dataset: str) -> tuple[int, ...]:
        """The versions of a dataset, the newest last; none is loaded for it."""
        return tuple(version for name, version in self.versions() if name == dataset)

    def versions(self) -> tuple[tuple[str, int], ...]:
        """Every (dataset, version) that is known, sorted; none is loaded for it."""
        return tuple(sorted({**self._contracts, **self._files}))

    def datasets(self) -> tuple[str, ...]:
        """The names of all datasets, sorted."""
        return tuple(sorted({name for name, _ in {**self._contracts, **self._files}}))


@cache
def _packaged() -> Registry:
    return Registry(folder=schemas_folder() / "datasets")


def load_contract(path: Path) -> Contract:
    """The contract in a file; ContractError with all reasons where it is not usable."""
    schema, problems = _read(path)
    if problems:
        raise ContractError(path.name, problems)
    return Contract.from_schema(schema)


def check_schema(source: Path | Mapping[str, Any]) -> list[SchemaProblem]:
    """Why a schema is not usable as a contract: every reason with its JSON pointer; [] where it is."""
    schema, unreadable = _read(source) if isinstance(source, Path) else (source, [])
    if unreadable:
        return unreadable
    problems = Problems()
    read_definition(schema, problems)
    return list(problems.found)


def _read(path: Path) -> tuple[dict[str, Any], list[SchemaProblem]]:
    twice: list[SchemaProblem] = []

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, value in pairs:
            if name in found:
                twice.append(SchemaProblem("", f"the member {name!r} stands twice in one object"))
            found[name] = value
        return found

    try:
        schema = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=members)
    except (
        OSError,
        ValueError,
        RecursionError,
    ) as error:  # ValueError: no UTF-8, no JSON, a number of 5,000 digits
        return {}, [SchemaProblem("", f"not readable as JSON: {error}")]
    if not isinstance(schema, dict):
        return {}, [SchemaProblem("", "expected a JSON object")]
    return schema, twice
