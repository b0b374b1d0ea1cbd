"""A few training steps of the shipped recipe, alone or under torchrun; the first process prints what they took.

    python benchmarks/two_processes.py DIR STEPS BATCH
    torchrun --nproc-per-node 2 benchmarks/two_processes.py DIR STEPS BATCH

Prints {"steps": [seconds, ...]}.
"""

import json
import os
import sys
import time

from sides import Library, load_job


def main():
    data, steps, batch = sys.argv[1], *map(int, sys.argv[2:])
    first = os.environ.get("RANK", "0") == "0"
    library = Library(load_job(data, batch))
    if library.job.processes.count != int(os.environ.get("WORLD_SIZE", "1")):
        raise SystemExit("the processes do not train together; the times mean nothing")
    library.phase(library.job.recipe.method.contrastive_start)
    times = []
    for _ in range(steps + 1):
        began = time.perf_counter()
        library.step()
        times.append(time.perf_counter() - began)
    if first:
        print(json.dumps({"steps": times[1:]}), flush=True)


if __name__ == "__main__":
    main()
