"""The plots of a report, drawn without a display."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from earshot_training.iterate.config import IterateConfig
from earshot_training.iterate.convergence import ConvergenceConfig
from earshot_training.iterate.embedding_map import draw_embedding_map
from earshot_training.iterate.probe_files import SCORES_FILE, load_probe
from earshot_training.iterate.run_folder import RunFolder
from earshot_training.iterate.scores import IterationRow
from earshot_training.json_file import read_json
from earshot_training.train.run_folder import METRICS_FILE

PLOTS_FOLDER = "plots"
PIXELS_PER_INCH = 100
POINTS_PER_CURVE = 200
TRAINING_STAGES = ("encoder", "tokenizer", "tokenizer-reseeded")

Curves = dict[tuple[str, int], npt.NDArray[np.float64]]
"""(stage, iteration) -> (points, 2) of step and loss."""


def draw_plots(
    folder: RunFolder,
    rows: Sequence[IterationRow],
    best_iteration: int | None,
    config: IterateConfig,
) -> tuple[Path, ...]:
    """Draw what the run has so far; returns the files, in the order of the report."""
    plots = folder.path / PLOTS_FOLDER
    plots.mkdir(exist_ok=True)
    figures = {"losses": draw_losses(read_curves(folder.path / METRICS_FILE))}
    if rows:
        figures["probes"] = draw_probes(rows, _layer_accuracy(folder, len(rows)))
        figures["agreement"] = draw_agreement(rows, config.convergence.agreement_margin)
        figures["codebook"] = draw_codebook(rows, config.convergence)
    if best_iteration is not None:
        probed = load_probe(folder.stage(best_iteration, "probe"))
        figures["embeddings"] = draw_embedding_map(probed, iteration=best_iteration)
    paths = {name: plots / f"{name}.png" for name in figures}
    for name, figure in figures.items():
        figure.savefig(paths[name], dpi=PIXELS_PER_INCH)
    return tuple(paths.values())


def read_curves(metrics: Path) -> Curves:
    """Read the losses of all training stages, thinned to means over some steps."""
    points: dict[tuple[str, int], list[tuple[float, float]]] = defaultdict(list)
    if metrics.exists():
        with metrics.open(encoding="utf-8") as file:
            for record in map(json.loads, file):
                if "step" in record:
                    key = record["stage"], record["iteration"]
                    points[key].append((record["step"], record["loss"]))
    return {key: _thin(np.array(values)) for key, values in points.items()}


def draw_losses(curves: Curves) -> Figure:
    """Draw the training losses of encoders and of tokenizers over their steps."""
    figure, axes = _figure(columns=2)
    num_iterations = max((iteration for _, iteration in curves), default=1)
    for (stage, iteration), curve in sorted(curves.items()):
        is_encoder = stage == "encoder"
        axes[0 if is_encoder else 1].plot(
            curve[:, 0],
            curve[:, 1],
            color=_colour(iteration, num_iterations),
            linestyle=":" if stage == "tokenizer-reseeded" else "-",
            label=f"{iteration} reseeded" if stage == "tokenizer-reseeded" else str(iteration),
        )
    _label(axes[0], "Encoders", "optimizer step", "masked cross-entropy (nats)")
    _label(axes[1], "Tokenizers", "optimizer step", "1 - cosine + commitment")
    for axis in axes:
        if axis.has_data():
            axis.legend(title="iteration", fontsize="small")
    return figure


def draw_probes(rows: Sequence[IterationRow], layer_accuracy: Sequence[Sequence[float]]) -> Figure:
    """Draw the probes' scores over iterations, and the linear probe of each layer."""
    figure, axes = _figure(columns=2)
    iterations = _iterations(rows)
    errors = [2 * (row.scores.gain_standard_error_pp or 0.0) for row in rows]
    accuracy = [100 * row.accuracy for row in rows]
    axes[0].errorbar(
        iterations, accuracy, yerr=errors, marker="o", capsize=3, label="linear (S) ± 2 SE of gain"
    )
    axes[0].plot(iterations, [100 * row.knn_accuracy for row in rows], "s--", label="kNN")
    precision = [100 * row.retrieval_precision for row in rows]
    axes[0].plot(iterations, precision, "^:", label="retrieval precision")
    axes[0].set_xticks(iterations)
    axes[0].legend(fontsize="small")
    _label(axes[0], "Frozen probes", "iteration", "%")
    for iteration, accuracies in zip(iterations, layer_accuracy, strict=True):
        layers = range(1, len(accuracies) + 1)
        colour = _colour(iteration, len(rows))
        shown = [100 * accuracy for accuracy in accuracies]
        axes[1].plot(layers, shown, marker=".", color=colour, label=str(iteration))
    axes[1].legend(title="iteration", fontsize="small")
    axes[1].xaxis.set_major_locator(MaxNLocator(integer=True))
    _label(axes[1], "Linear probe of one layer", "layer", "%")
    return figure


def draw_agreement(rows: Sequence[IterationRow], margin: float) -> Figure:
    """Draw the agreement with the previous tokenizer beside that of a reseeded one."""
    figure, (axis,) = _figure(columns=1)
    agreement = {row.scores.iteration: row.scores.agreement for row in rows}
    reseeded = {row.scores.iteration: row.scores.reseed_agreement for row in rows}
    axis.plot(*_known(agreement), "o-", label="A: with the previous tokenizer")
    places, values = _known(reseeded)
    axis.plot(places, values, "s--", label="A*: with a reseeded one")
    needed = [value - margin for value in values]
    axis.plot(places, needed, "_", markersize=18, color="grey", label=f"A* - {margin:g}: needed")
    axis.set_xticks(_iterations(rows))
    axis.set_ylim(bottom=0)
    axis.legend(fontsize="small")
    _label(axis, "Agreement of tokens", "iteration", "adjusted mutual information")
    return figure


def draw_codebook(rows: Sequence[IterationRow], rule: ConvergenceConfig) -> Figure:
    """Draw perplexity, codes in use and label information over iterations."""
    figure, axes = _figure(columns=3)
    iterations, scores = _iterations(rows), [row.scores for row in rows]
    axes[0].plot(iterations, [s.perplexity for s in scores], "o-")
    needed = [rule.min_perplexity_share * s.codebook_size for s in scores]
    axes[0].plot(iterations, needed, "--", color="grey", label="needed")
    _label(axes[0], "Perplexity of the tokens", "iteration", "codes")
    axes[1].plot(iterations, [100 * s.usage for s in scores], "o-")
    needed = [100 * rule.min_usage for _ in scores]
    axes[1].plot(iterations, needed, "--", color="grey", label="needed")
    _label(axes[1], "Codes in use", "iteration", "%")
    for axis in axes[:2]:
        axis.legend(fontsize="small")
    axes[2].errorbar(
        iterations,
        [s.label_information for s in scores],
        yerr=[2 * s.label_information_standard_error for s in scores],
        marker="o",
        capsize=3,
    )
    _label(axes[2], "I(token; class) / H(class) ± 2 SE", "iteration", "share")
    for axis in axes:
        axis.set_xticks(iterations)
        axis.set_ylim(bottom=0)
    axes[1].set_ylim(top=105)
    return figure


def _known(values: Mapping[int, float | None]) -> tuple[list[int], list[float]]:
    """Keep the iterations that have a value."""
    known = {iteration: value for iteration, value in values.items() if value is not None}
    return list(known), list(known.values())


def _layer_accuracy(folder: RunFolder, iterations: int) -> list[list[float]]:
    return [
        read_json(folder.stage(iteration, "probe") / SCORES_FILE)["layer_accuracy"]
        for iteration in range(1, iterations + 1)
    ]


def _figure(*, columns: int) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(4.6 * columns, 3.6), layout="constrained")
    axes = figure.subplots(1, columns, squeeze=False)
    return figure, list(axes[0])


def _label(axis: Axes, title: str, x: str, y: str) -> None:
    axis.set_title(title, fontsize="medium")
    axis.set_xlabel(x)
    axis.set_ylabel(y)
    axis.grid(alpha=0.3)


def _colour(iteration: int, num_iterations: int) -> tuple[float, float, float, float]:
    place = (iteration - 1) / max(1, num_iterations - 1)
    red, green, blue, alpha = colormaps["viridis"](0.85 * place)
    return red, green, blue, alpha


def _iterations(rows: Sequence[IterationRow]) -> list[int]:
    return [row.scores.iteration for row in rows]


def _thin(points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Means over blocks of neighbouring steps, so that a curve is a line and not a band."""
    blocks = np.array_split(points, min(len(points), POINTS_PER_CURVE))
    return np.array([block.mean(axis=0) for block in blocks])
