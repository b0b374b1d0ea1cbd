"""Code, messages and docs use the field's terms; the table of words is in CONTRIBUTING.md."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
LEFT_OUT = re.compile(
    r"(?<!platform\.)(?<!pre)\bprocessors?\b(?!_|\()|\bclass mix(?:es)?\b|person's look|\banew\b|named rightly"
    r"|\bmend(?:s|ed)?\b|\bon_first\b|longtail\.whole\b",
    re.IGNORECASE,
)


def written() -> list[Path]:
    code = [path for kind in ("py", "jinja", "html", "toml") for path in (ROOT / "src").rglob(f"*.{kind}")]
    return [*code, *(ROOT / "docs").glob("*.md"), ROOT / "README.md", ROOT / "Makefile"]


def test_words_of_no_dialect() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:90]}"
        for path in written()
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if LEFT_OUT.search(line)
    ]
    assert not found, "\n".join(found)


def test_a_word_of_the_dialect_is_noticed() -> None:
    for line in ("on two processors", "the class mix", "mend it", "run.on_first(action)", "named rightly"):
        assert LEFT_OUT.search(line), line
    for line in ("preprocessor_config.json", "platform.processor()", "amend the file", "recommended"):
        assert not LEFT_OUT.search(line), line


def test_lines_of_prose_are_short() -> None:
    """Tables, code and what is generated may be longer."""
    long = []
    for path in (*(ROOT / "docs").glob("*.md"), *ROOT.glob("*.md"), *(ROOT / "benchmarks").glob("*.md")):
        code = False
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            code ^= line.lstrip().startswith(("```", "~~~"))
            whole = (line.count("`") >= 2 and len(line.lstrip().split("`")[1]) > 90) or "](" in line
            if len(line) > 120 and not (code or whole or line.lstrip().startswith(("|", "#", "**"))):
                long.append(f"{path.relative_to(ROOT)}:{number}")
    assert not long, ", ".join(long)
