"""Study files: what they may say, what is refused, and which recipe each row has."""

from pathlib import Path

import pytest

from longtail.recipe import load_recipe
from longtail.study.settings import row_recipe
from longtail.study.study_file import load_study, shipped_studies
from longtail.types import InputError

OURS = Path(__file__).parents[2] / "benchmarks" / "studies"
HEAD = 'title = "t"\nrecipe = "icl-digits"\n'
ROW = '[rows.a]\nmethod = "cross_entropy"\n'


def write(folder: Path, text: str) -> str:
    file = folder / "mine.toml"
    file.write_text(text, "utf-8")
    return str(file)


@pytest.mark.parametrize("name", [*shipped_studies(), *map(str, sorted(OURS.glob("*.toml")))])
def test_studies_that_are_here_have_rows_that_can_run(name: str) -> None:
    study = load_study(name)
    recipes = {key: row_recipe(study, key, {}) for key in study.rows}
    if study.budget == "equal":
        shared = {
            (r.optim.epochs, r.optim.batch_size, r.model.name, str(r.data.model_copy(update={"views": {}})))
            for r in recipes.values()
        }  # views are the row's own
        assert len(shared) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (HEAD, "key 'rows' is missing"),
        ('title = "t"\n' + ROW, "key 'recipe' is missing"),
        (HEAD + "seed = [0]\n" + ROW, "unknown key 'seed'; did you mean 'seeds'?"),
        (HEAD + ROW + 'metod = "x"\n', "unknown key 'rows.a.metod'; did you mean 'method'?"),
        (HEAD + "seeds = [1, 1]\n" + ROW, "seed '1' is there twice"),
        (HEAD + "seeds = []\n" + ROW, "seeds = list of 0 does not fit"),
        (HEAD + "seeds = [-1]\n" + ROW, "seeds.0 = -1 does not fit"),
        (HEAD + 'epochs = "9"\n' + ROW, "epochs = '9' does not fit"),
        (HEAD + "epochs = 0\n" + ROW, "epochs = 0 does not fit"),
        (HEAD + 'budget = "same"\n' + ROW, "budget = 'same' does not fit"),
        (HEAD + 'budget = "published"\nepochs = 9\n' + ROW, "epochs = 9 does not go with budget"),
        (HEAD + 'against = "b"\n' + ROW, "against = 'b' is no row; rows are a"),
        (HEAD + "[rows]\na = 1\n", "write [rows.NAME]"),
        (HEAD + '[rows."a/b"]\n', "'a/b' names files and folders"),
        (HEAD + ROW + "published = 157.6\n", "rows.a.published = 157.6 does not fit"),
        (HEAD + "set.model = 3\n" + ROW, "set.model = 3 has no key"),
        (HEAD + "set = 3\n" + ROW, "set = 3 has no keys"),
        (HEAD + "grid.optim.epochs = 3\n" + ROW, "grid.optim.epochs = 3 does not fit: give a list"),
        ('base = "tabel1"\n', "base = 'tabel1' is not a shipped study"),
        ('base = "table1-mini"\n', "has a base itself"),
        ("title = [", "is not valid TOML"),
    ],
)
def test_faults_are_one_line_with_the_file(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(InputError) as refused:
        load_study(write(tmp_path, text))
    assert said in str(refused.value)
    assert "mine.toml" in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ('method = "crossentropy"', "unknown method 'crossentropy'; "),
        ('recipe = "icl-digit"', "did you mean 'icl-digits'?"),
        ("set.optim.peak_rl = 1", "unknown key 'optim.peak_rl'; did you mean 'optim.peak_lr'?"),
        ("set.optim.batch_size = 8", "optim.batch_size is the same for all rows of an equal budget"),
        ("set.data.imbalance_factor = 10", "data.imbalance_factor is the same for all rows"),
        ('set.model.name = "resnet32"', "model.name is the same for all rows"),
    ],
)
def test_a_row_that_cannot_run_is_named(tmp_path: Path, row: str, said: str) -> None:
    study = load_study(write(tmp_path, f"{HEAD}[rows.a]\n{row}\n"))
    with pytest.raises(InputError) as refused:
        row_recipe(study, "a", {})
    assert str(refused.value).startswith("study mine, row a: ")
    assert said in str(refused.value)


def test_a_study_that_is_none_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="did you mean 'table1-mini'"):
        load_study("table1mini")
    with pytest.raises(InputError, match="no study or study"):
        load_study(str(tmp_path))


def test_windows_scale_with_an_equal_budget_and_what_is_shared_is_the_studys(tmp_path: Path) -> None:
    rows = '[rows.a]\nrecipe = "icl-cifar100-lt"\nset.method.diversity_stop = 60\n[rows.b]\n'
    study = load_study(write(tmp_path, HEAD + "epochs = 20\n" + rows))
    recipe, shared = row_recipe(study, "a", {}), load_recipe("icl-digits")[0]
    assert (recipe.optim.epochs, recipe.method.diversity_stop) == (20, 6)
    assert recipe.method.contrastive_start == 12
    assert (recipe.data, recipe.run, recipe.model.name) == (shared.data, shared.run, shared.model.name)
    assert recipe.optim.batch_size == shared.optim.batch_size
    assert recipe.optim.peak_lr == load_recipe("icl-cifar100-lt")[0].optim.peak_lr
    longer = row_recipe(study, "a", {"optim.epochs": 40, "optim.precision": "fp64"})
    assert (longer.optim.epochs, longer.method.diversity_stop, longer.optim.precision) == (40, 12, "fp64")


def test_a_published_budget_is_the_rows_own(tmp_path: Path) -> None:
    rows = '[rows.a]\nrecipe = "icl-cifar100-lt"\nset.optim.batch_size = 64\n[rows.b]\n'
    study = load_study(write(tmp_path, HEAD + 'budget = "published"\n' + rows))
    own = load_recipe("icl-cifar100-lt", {"optim.batch_size": 64})[0]
    assert row_recipe(study, "a", {}) == own
    assert row_recipe(study, "b", {}) == load_recipe("icl-digits")[0]


def test_a_base_is_changed_key_by_key(tmp_path: Path) -> None:
    text = (
        'base = "table4"\nseeds = [5]\nset.optim.peak_lr = 0.2\n[rows.single]\npublished = 1.0\n[rows.more]\n'
    )
    study, base = load_study(write(tmp_path, text)), load_study("table4")
    assert list(study.rows) == [*base.rows, "more"]
    assert study.rows["single"].published == 1
    assert study.rows["single"].set == base.rows["single"].set
    assert (study.seeds, study.title, study.name) == ([5], base.title, "mine")
    assert row_recipe(study, "icl", {}).optim.peak_lr == 0.2


@pytest.mark.parametrize("change", ["set.data.imbalance_factor = 50.0", 'recipe = "icl-cifar10-lt"'])
def test_published_figures_of_other_data_are_left_out(tmp_path: Path, change: str) -> None:
    study = load_study(write(tmp_path, f'base = "table4"\n{change}\n[rows.icl]\npublished = 61.3\n'))
    assert [row.published for row in study.rows.values()] == [None] * 4 + [61.3]


def test_a_grid_repeats_each_row(tmp_path: Path) -> None:
    text = (
        HEAD
        + "[grid.method]\ndiversity_stop = [0, 10]\ncontrastive_start = [20]\n"
        + '[rows.icl]\ntitle = "ICL"\n'
    )
    study = load_study(write(tmp_path, text))
    assert list(study.rows) == [
        "icl-diversity_stop-0-contrastive_start-20", "icl-diversity_stop-10-contrastive_start-20"
    ]  # fmt: skip
    assert (
        study.title_of("icl-diversity_stop-0-contrastive_start-20")
        == "ICL, diversity_stop 0, contrastive_start 20"
    )
    assert row_recipe(study, "icl-diversity_stop-10-contrastive_start-20", {}).method.diversity_stop == 10
