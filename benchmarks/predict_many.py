"""Memory of predicting many files: 2,000 and 20,000 images, each in a process of its own, by the command line.

    python benchmarks/predict_many.py --data DIR [--images 2000 20000] [--json FILE]

`DIR` holds JPEG files. Links to them, in folders of a thousand, make up the images. The run is of one epoch on the
digits, so that reading takes its usual share and training none. The greatest resident memory is what the system says
of the finished process (`ru_maxrss`). It must not grow by more than a tenth.
"""

import argparse
import os
import subprocess
import sys
import time
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory

from longtail import train
from record import about, judge, table, targets_table, tell


def linked(folder, count, files):
    """A folder with so many images, each a link to one of the files."""
    for number, file in enumerate(islice(cycle(files), count)):
        place = folder / f"{number // 1000:03d}"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{number:05d}{file.suffix}").symlink_to(file)
    return folder


def predicted(run, images, out):
    """Rows, seconds and greatest resident memory (MB) of `longtail predict`."""
    words = [sys.executable, "-m", "longtail", "predict", run, images, "-o", out]
    begun = time.perf_counter()
    process = subprocess.Popen([str(word) for word in words], stderr=subprocess.PIPE, text=True)
    said = process.stderr.read()
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - begun
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(said)
    unit = 1 if sys.platform == "darwin" else 1024
    with Path(out).open("rb") as file:
        rows = sum(1 for _ in file) - 1
    return {"images": rows, "seconds": seconds, "peak_mb": used.ru_maxrss * unit / 1e6}


def measure(folder, files, counts):
    """What predicting each number of images took."""
    run = train("icl-digits", method="cross_entropy", epochs=1, out=folder / "run", quiet=True)
    measured = []
    for count in counts:
        images = linked(folder / str(count), count, files)
        measured.append(predicted(run.path, images, folder / f"{count}.csv"))
        if measured[-1]["images"] != count:
            raise SystemExit(
                f"{measured[-1]['images']} of {count} images were predicted; mend the files of DIR"
            )
    return measured


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", metavar="DIR", type=Path, required=True)
    parser.add_argument("--images", type=int, nargs=2, default=(2000, 20000))
    parser.add_argument("--json", metavar="FILE")
    args = parser.parse_args()
    files = sorted(path.resolve() for path in args.data.rglob("*.jpg"))
    if not files:
        raise SystemExit(f"no *.jpg in {args.data}; give a folder of JPEG files")
    result = about("predict_many.py")
    with TemporaryDirectory() as folder:
        measured = measure(Path(folder), files, args.images)
    few, many = measured
    found = [
        judge("memory", many["peak_mb"] / few["peak_mb"], f"{many['images']:,} / {few['images']:,} images")
    ]
    lines = [
        [f"{each['images']:,}", f"{each['peak_mb']:.0f}", f"{each['seconds']:.1f}",
         f"{each['images'] / each['seconds']:.0f}"]
        for each in measured
    ]  # fmt: skip
    title = "`longtail predict` into a CSV file, start of the process included"
    tables = [
        targets_table(found),
        table(title, ["images", "greatest resident memory, MB", "seconds", "images per second"], lines),
    ]
    result |= {"rows": measured, "tables": tables, "targets": found}
    tell(args.json, result)


if __name__ == "__main__":
    main()
