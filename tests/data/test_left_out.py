"""What is found and not used: counted by reason, phrased once, refused by `strict` where it could be data."""

from longtail.data.audit import Audit
from longtail.data.dataset import Notes
from longtail.data.left_out import EXAMPLES, Collector, FileCounts, LeftOut, left_out_lines, left_out_of

PROBLEM = LeftOut("beside the classes", 2, ("a.jpg", "b.jpg"))
HARMLESS = LeftOut("of other programs", 1, ("Thumbs.db",), is_problem=False)


def test_a_collector_counts_all_and_keeps_a_few_examples():
    found = Collector()
    found.add("of other programs", "@eaDir/", 40, is_problem=False)
    for number in range(12):
        found.add("no ending", f"{number}")
    found.add("empty folder", "nothing/", 0)
    one, other = found.found()
    assert (one.reason, one.count, one.examples) == ("no ending", 12, tuple("01234"))
    assert (other.count, other.examples, other.is_problem) == (40, ("@eaDir/",), False)
    again = Collector()
    again.extend(found.found())
    again.extend(found.found())
    assert [entry.count for entry in again.found()] == [24, 80]
    assert all(len(entry.examples) <= EXAMPLES for entry in again.found())


def test_a_line_names_count_reason_and_examples():
    assert PROBLEM.line() == "2 files left out, beside the classes: a.jpg, b.jpg"
    assert HARMLESS.line() == "1 file left out, of other programs: Thumbs.db"
    assert (
        LeftOut("two species", 9, ("x",), noun="image").line() == "9 images left out, two species: x and more"
    )
    assert left_out_lines((PROBLEM, HARMLESS), problems_only=True) == [PROBLEM.line()]


def test_several_reasons_are_a_headline_and_an_item_each():
    head, *items = left_out_lines((PROBLEM, LeftOut("two species", 9, ("x",), noun="image")))
    assert head == "11 files and images left out:"
    assert items == ["  2 files, beside the classes: a.jpg, b.jpg", "  9 images, two species: x and more"]
    assert left_out_lines(()) == []


def test_what_could_be_data_is_a_problem_and_the_rest_is_said_alone():
    notes = Notes(left_out=(PROBLEM, HARMLESS))
    assert notes.lines() == ["3 files left out:", f"  {PROBLEM.item()}", f"  {HARMLESS.item()}"]
    assert notes.lines(problems_only=True) == [PROBLEM.line()]
    counts = {"train": {"a": 3, "b": 3}}
    assert Audit(counts, left_out=(PROBLEM,)).has_problems
    assert not Audit(counts, left_out=(HARMLESS,)).has_problems


def test_its_form_in_json_is_read_back():
    contents = Audit({}, left_out=(PROBLEM, HARMLESS)).contents()["left_out"]
    assert contents[0]["count"] == 2
    assert left_out_of(contents) == (PROBLEM, HARMLESS)


def test_what_became_of_all_files_adds_up():
    audit = Audit(
        {"train": {"a": 3}, "test": {"a": 1, "z": 2}},
        unreadable=(("x", "empty"),),
        left_out=(PROBLEM, HARMLESS),
    )
    assert audit.files == FileCounts(used=4, unreadable=1, unknown_classes=2, left_out=3)
    assert audit.files.contents()["seen"] == 10
    assert audit.files.line().startswith(
        "4 of 10 files are used; 1 cannot be read, 2 of classes without training"
    )
    assert FileCounts(4).line() == "4 of 4 files are used"
