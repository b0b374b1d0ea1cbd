"""Which Parquet files are a split's, and whether all of its shards are there."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from longtail.data.left_out import Collector, LeftOut
from longtail.data.listing import SPLITS
from longtail.types import InputError

_SHARD = re.compile(r"(?P<stem>.+?)[-_](?P<number>\d+)[-_]of[-_](?P<total>\d+)(?:[-_.].*)?", re.IGNORECASE)
_SHOWN = 3


def parquet_files(path: Path) -> dict[str, list[Path]]:
    """Part ("train", "val", "test") -> its Parquet files in order; empty where there are none."""
    if path.is_file():
        return {"train": [path]} if path.suffix.lower() == ".parquet" else {}
    found: dict[str, list[Path]] = {}
    for folder in (path, path / "data"):
        inside = sorted(folder.glob("*.parquet"))
        for split, names in SPLITS.items():
            files = [file for file in inside if file.stem.split("-")[0] in names]
            if files and split not in found:
                found[split] = files
    return {split: found[split] for split in SPLITS if split in found}


def check_shards(files: Mapping[str, Sequence[Path]]) -> None:
    """Refuse a split of which shards (`train-00000-of-00002.parquet`) are missing, there twice, or of several sets.

    Raises:
        InputError: see above; the message names the files.
    """
    for part, several in files.items():
        stems = {file.stem.split("-")[0]: file for file in several}
        if len(stems) > 1:
            one, other = list(stems.values())[:2]
            raise InputError(f"{one} and {other} are both the same split; keep one of them")
        shards = {file: match for file in several if (match := _SHARD.fullmatch(file.stem))}
        plain = next((file for file in several if file not in shards), None)
        if not shards:
            continue
        if plain is not None:
            raise InputError(
                f"{plain} lies beside {next(iter(shards)).name} and is no shard of it; remove one of them"
            )
        _refuse_incomplete(part, {file: (int(m["number"]), int(m["total"])) for file, m in shards.items()})


def alone(file: Path) -> list[str]:
    """What to say of one file that is read without the other shards of its split."""
    match = _SHARD.fullmatch(file.stem)
    total = int(match["total"]) if match else 1
    return [f"{file.name} is one of {total:,} shards and is read alone; to read all, give their folder"] * (
        total > 1
    )


def others_beside(path: Path, files: Mapping[str, Sequence[Path]]) -> tuple[LeftOut, ...]:
    """The Parquet files of a folder that are read for no split."""
    found, read = Collector(), {file for several in files.values() for file in several}
    for folder in (path, path / "data"):
        for file in sorted(folder.glob("*.parquet")):
            if file not in read:
                reason = "Parquet files of no part by their names (train-*, val-*, test-*)"
                if file.stem.split("-")[0] in (name for names in SPLITS.values() for name in names):
                    reason = f"Parquet files of a split that is read from {path.name} itself"
                found.add(reason, file.relative_to(path).as_posix())
    return found.found()


def _refuse_incomplete(part: str, shards: Mapping[Path, tuple[int, int]]) -> None:
    first = next(iter(shards))
    total = shards[first][1]
    other = next((file for file, (_, its_total) in shards.items() if its_total != total), None)
    if other is not None:
        raise InputError(f"{first} and {other.name} are shards of different sets; keep those of one")
    numbers: dict[int, Path] = {}
    for file, (number, _) in shards.items():
        if number in numbers:
            raise InputError(f"{numbers[number]} and {file.name} are the same shard; remove one of them")
        if number >= total:
            raise InputError(
                f"{file} names a shard that a set of {total:,} does not have; remove or rename it"
            )
        numbers[number] = file
    missing = [number for number in range(total) if number not in numbers]
    if missing:
        names = [_renumbered(first.name, number) for number in missing[:_SHOWN]]
        more = f" and {len(missing) - _SHOWN:,} more" if len(missing) > _SHOWN else ""
        raise InputError(
            f"{len(missing):,} of {total:,} shards of the {part} split are missing from {first.parent}: "
            f"{', '.join(names)}{more}; download what is missing, or give one file by its name to read it alone"
        )


def _renumbered(name: str, number: int) -> str:
    """A shard's name with another number and without the hash that may follow."""
    match = _SHARD.fullmatch(Path(name).stem)
    if match is None:
        return name
    digits = str(number).zfill(len(match["number"]))
    return f"{name[: match.start('number')]}{digits}{name[match.end('number') : match.end('total')]}.parquet"
