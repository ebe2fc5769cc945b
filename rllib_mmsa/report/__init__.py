"""Many runs -> learning curves, tables and statistics; `rllib report` calls `load` and `make`.

The way: Tune's folders and data files -> `Run`s (tune.py, data.py) -> groups of replicates
(groups.py) -> a `Study`, which says what is compared where (study.py, designs.py) -> tables
(contents.py, tables.py) and figures (figures.py, charts.py, drawing.py), with the statistics of
statistics.py -> files and the page (page.py). Neither Ray nor torch is imported.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rllib_mmsa.errors import ConfigError, shortened, unknown
from rllib_mmsa.replacing import replacing

if TYPE_CHECKING:
    from rllib_mmsa.report.runs import Run
    from rllib_mmsa.report.study import Options, Study

PAGE = "report.html"
NEEDED = ("numpy", "scipy", "matplotlib")


def check_installed() -> None:
    """Say which package is missing, before anything imports it.

    Raises:
        ConfigError: If one is.
    """
    from importlib.util import find_spec

    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"rllib report needs {', '.join(missing)}, which this Python does not have; "
            f"pip install -c constraints.txt {' '.join(missing)}"
        )


def load(results: Sequence[str], metrics: Sequence[str] = ()) -> list[Run]:
    """Read runs.

    Args:
        results: Folders below which Tune's trials lie, and data files (.csv).
        metrics: More result keys to read from Tune's results.

    Returns:
        The runs. A trial that is named twice counts once.

    Raises:
        ConfigError: If there is none, or one of them is neither, holds no trial or cannot be read.
    """
    check_installed()
    if not results:
        raise ConfigError("no results are named; name folders of results, or data files (.csv).")
    named = {Path(name).expanduser().resolve(): name for name in results}
    return [
        run
        for path, name in named.items()
        if not any(above in named for above in path.parents)
        for run in _read(name, path, tuple(metrics))
    ]


def _read(name: str, path: Path, metrics: tuple[str, ...]) -> list[Run]:
    """Read one data file, or one folder's trials."""
    from rllib_mmsa.report import data, tune

    if path.is_file() and path.suffix.lower() == ".csv":
        return data.read(path)
    if not path.is_dir():
        what = "is neither a folder nor a .csv file" if path.exists() else "does not exist"
        raise ConfigError(
            f"results '{name}' {what}; name a folder of results such as ~/ray_results/mmsa_lbf, or "
            "a data file that `rllib report --export` wrote."
        )
    runs = tune.read_folder(path, metrics)
    if not runs:
        raise ConfigError(
            f"'{name}' holds no results; a folder must have trials of Ray Tune in it or below it "
            f"(folders with {tune.RESULTS}). `rllib train` prints where it writes them. Data files "
            "are named one by one."
        )
    return runs


def run(
    results: Sequence[str],
    out: Path | None,
    export: Path | None,
    options: Options,
    *,
    metrics: Sequence[str] = (),
) -> list[str]:
    """Do what the command asks for.

    Args:
        results: As in `load`.
        out: Folder for the report; None: no report.
        export: Data file to write; None: none.
        options: How to make the report.
        metrics: More result keys for the data file.

    Returns:
        The lines that the command prints: what was read, what was written.

    Raises:
        ConfigError: At the first mistake.
    """
    check_installed()
    from rllib_mmsa.report import data, groups, study

    study.check(options)
    if out is not None:
        check_out(out)
    if export is not None and export.suffix.lower() != ".csv":
        raise ConfigError(f"--export writes CSV; '{export}' does not end in .csv.")
    if metrics and export is None:
        raise ConfigError("--metric adds a column to a data file; name it: --export FILE.csv.")
    collected = load(results, metrics)
    _check_named(collected, metrics, options.pool)
    named = groups.group(collected, options.pool)
    lines = [f"{len(collected)} run(s) in {len(named)} group(s)"]
    lines += [f"note: {remark}" for remark in groups.remarks(named)]
    if export is not None:
        data.write(export, [run for g in named for run in g.runs])
        lines.append(f"data        {export}")
    if out is not None:
        content = study.build(named, options)
        lines += [f"note: {remark}" for remark in study.left_out(content)]
        files = _write(content, out)
        lines.append(f"report      {out / PAGE} and {len(files) - 1} files beside it")
    return lines


def _check_named(collected: Sequence[Run], metrics: Sequence[str], pool: Sequence[str]) -> None:
    """Refuse a result key and a setting that no run has: they would silently do nothing."""
    import numpy as np

    for key in metrics:
        if all(key not in run.extra or np.isnan(run.extra[key]).all() for run in collected):
            raise ConfigError(
                f"--metric: no run has '{shortened(key)}'; name a key of result.json "
                "with its whole path, such as learners/team/td_loss."
            )
    settings = {name for run in collected for name in run.identity}
    for name in pool:
        if name not in settings:
            raise unknown("setting", name, settings, "--pool")


def make(runs: Sequence[Run], out: Path, options: Options) -> list[Path]:
    """Write the report.

    Args:
        runs: What `load` returned.
        out: Folder for it; created where it is missing. Files of the same names are overwritten.
        options: How to make it.

    Returns:
        The files: the page, `tables/NAME.{md,csv,tex}`, `figures/NAME.{svg,pdf}` and
        `marl_eval.json`.

    Raises:
        ConfigError: If the folder cannot be written, or the runs hold no evaluation.
    """
    from rllib_mmsa.report import groups, study

    check_out(out)
    return _write(study.build(groups.group(runs, options.pool), options), out)


def _write(content: Study, out: Path) -> list[Path]:
    """Write a study's report; the files, as `make` returns them."""
    from rllib_mmsa.report import contents, figures, marl_eval, page, tables

    every = contents.all_tables(content)
    pictures = figures.all_figures(content)
    texts = {out / "marl_eval.json": marl_eval.to_json(content)}
    for table in every:
        for ending, form in (("md", "markdown"), ("csv", "csv"), ("tex", "latex")):
            texts[out / "tables" / f"{table.name}.{ending}"] = getattr(tables, f"to_{form}")(table)
    texts[out / PAGE] = page.render(content, every, pictures)
    try:
        for folder in ("tables", "figures"):
            (out / folder).mkdir(parents=True, exist_ok=True)
        for file, text in texts.items():
            with replacing(file) as whole:
                whole.write(text)
        for picture in pictures:
            picture.save(out / "figures")
    except OSError as err:
        raise ConfigError(
            f"--out '{out}' cannot be written: {err.strerror}; name a folder of your own."
        ) from None
    drawn = [out / "figures" / f"{p.name}.{end}" for p in pictures for end in ("svg", "pdf")]
    return sorted([*texts, *drawn])


def check_out(out: Path) -> None:
    """Refuse a file in the place of the folder, before the work."""
    at = next(path for path in (out, *out.resolve().parents) if path.exists())
    if not at.is_dir():
        raise ConfigError(
            f"--out '{out}' is a file, or below one; name a folder, which is made where it is "
            "missing."
        )
