"""Code, messages and docs use the field's terms; the table of words is in CONTRIBUTING.md."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
LEFT_OUT = re.compile(
    r"(?<!platform\.)(?<!pre)\bprocessors?\b(?!_|\()|\bclass mix(?:es)?\b|person's look|\banew\b|\brightly\b"
    r"|\bmend(?:s|ed)?\b|\bon_first\b|longtail\.whole\b|\btold\b|\blog_ratio\b|\bgo(?:es)?_on\b"
    r"|\bcontinue (?:it|them|its run|the runs?|with:)|\bgo(?:ing|es)? on (?:with|after) (?:--resume|\{)|run continues",
    re.IGNORECASE,
)
STEMS = (
    "processor",
    "class mix",
    "person's look",
    "anew",
    "rightly",
    "log_ratio",
    "mend",
    "on_first",
    "longtail.whole",
    "told",
    "go_on",
    "goes_on",
    "continue",
    "go on ",
    "going on",
    "goes on",
)
TOLD = re.compile(r"\btold\b|_told\b|\btold_")


def written() -> list[Path]:
    code = [path for kind in ("py", "jinja", "html", "toml") for path in (ROOT / "src").rglob(f"*.{kind}")]
    return [*code, *(ROOT / "docs").glob("*.md"), ROOT / "README.md", ROOT / "Makefile"]


def uses(paths: list[Path], pattern: re.Pattern[str], stems: tuple[str, ...]) -> list[str]:
    """Places of the pattern, in files that hold one of these stems: looking for these first is faster."""
    texts = ((path, path.read_text("utf-8")) for path in paths)
    return [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:90]}"
        for path, text in texts
        if any(stem in text.lower() for stem in stems)
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]


def test_words_of_no_dialect() -> None:
    found = uses(written(), LEFT_OUT, STEMS)
    assert not found, "\n".join(found)


def test_nobody_is_told() -> None:
    """Also in tests and benchmarks: messages say things, and callbacks are called with them."""
    code = [path for folder in ("src", "tests", "benchmarks") for path in (ROOT / folder).rglob("*.py")]
    found = uses([path for path in code if path != Path(__file__)], TOLD, ("told",))
    assert not found, "\n".join(found)


def test_a_word_of_the_dialect_is_noticed() -> None:
    for line in (
        "on two processors",
        "the class mix",
        "mend it",
        "run.on_first(action)",
        "it is told",
        "named rightly",
        "log_ratio = None",
        "plan.goes_on",
        "continue it with --resume",
        "going on after {rows} images",
        "the run continues after its last epoch",
    ):
        assert LEFT_OUT.search(line), line
    for line in (
        "preprocessor_config.json",
        "platform.processor()",
        "amend the file",
        "recommended",
        "training goes on",
    ):
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
