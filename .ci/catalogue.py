"""Keep the catalogues of the command line's texts: `make catalogue` (or, to look only: `python .ci/catalogue.py --check`).

Gathers every marked text of src/filesync, every text of the help pages and of the shipped contracts, brings `locale/<language>/LC_MESSAGES/filesync.po` up to
date (translations stay, texts that are gone go), and compiles it to `filesync.mo`. Ends with 1, and the list, where a text has no translation
or where the files are not what would be written now.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path
from string import Formatter
from typing import TYPE_CHECKING

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

from filesync.cli.language import help_texts
from filesync.contracts import Registry, describe
from filesync.language import DOMAIN, FOLDER
from filesync.sources.layout_choice import shipped_layouts

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "src" / "filesync"
KEYWORDS = {"_": None, "mark": None, "ngettext": (1, 2), "pair": (1, 2), "plural": (2, 3)}


def gathered() -> Catalog:
    """Every text that the command line can say, in the order of the source."""
    import typer

    from filesync.cli.app import app

    texts = Catalog(project="filesync", charset="utf-8")
    for _, _, message, _, _ in extract_from_dir(SOURCES, [("**.py", "python")], keywords=KEYWORDS):
        texts.add(message)
    for text in (*help_texts(typer.main.get_command(app)), *_shipped()):
        if text:
            texts.add(text)
    return texts


def _shipped() -> Iterator[str]:
    """What the shipped contracts and layouts say of themselves."""
    registry = Registry.packaged()
    for page in (
        describe(contract) for name in registry.datasets() if (contract := registry.latest(name)) is not None
    ):
        yield from (page.title, page.description, *(rule.message for rule in page.rules))
        for relation in page.relations:
            yield from (relation.title, *(field.description or field.title for field in relation.fields))
    yield from (layout.title for layout in shipped_layouts())


def brought_up_to_date(path: Path, texts: Catalog) -> tuple[bytes, bytes, list[str]]:
    """The .po and the .mo as they should be, and what is wrong with the translations."""
    with path.open("rb") as file:
        catalogue = read_po(file, locale=path.parent.parent.name, domain=DOMAIN)
    created = catalogue.creation_date
    catalogue.update(texts, no_fuzzy_matching=True)
    catalogue.obsolete.clear()
    catalogue.creation_date = created
    wrong = [problem for message in catalogue if message.id and (problem := _problem(message))]
    po, mo = io.BytesIO(), io.BytesIO()
    write_po(po, catalogue, width=0, no_location=True, omit_header=False, sort_output=True)
    write_mo(mo, catalogue)
    return po.getvalue(), mo.getvalue(), wrong


def _problem(message: Message) -> str | None:
    """Without a translation, or with other places for names and numbers than the English text."""
    texts = message.id if isinstance(message.id, tuple) else (message.id,)
    translations = message.string if isinstance(message.string, tuple) else (message.string,)
    if message.fuzzy:
        return f"changed, so not said until somebody has looked at it (fuzzy): {texts[0]!r}"
    if not all(translations):
        return f"no translation: {texts[0]!r}"
    wanted = {name for text in texts for _, name, _, _ in Formatter().parse(text) if name is not None}
    for translation in translations:
        found = {name for _, name, _, _ in Formatter().parse(str(translation)) if name is not None}
        if found - wanted or (len(texts) == 1 and wanted != found):
            return f"expected the places {sorted(wanted)}, got {sorted(found)}: {texts[0]!r}"
    return None


def main(*, check: bool) -> int:
    """Write, or only look."""
    texts, wrong = gathered(), 0
    for path in sorted(FOLDER.glob("*/LC_MESSAGES/filesync.po")):
        po, mo, problems = brought_up_to_date(path, texts)
        for problem in problems:
            print(f"{path.relative_to(ROOT)}: {problem}")
        stale = (
            path.read_bytes() != po
            or not path.with_suffix(".mo").exists()
            or path.with_suffix(".mo").read_bytes() != mo
        )
        if check and stale:
            print(f"{path.relative_to(ROOT)}: not up to date: make catalogue")
        if not check:
            path.write_bytes(po)
            path.with_suffix(".mo").write_bytes(mo)
        wrong += len(problems) + (check and stale)
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main(check="--check" in sys.argv[1:]))
