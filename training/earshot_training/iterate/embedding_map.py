"""A map of clip embeddings: clips that sound alike to the encoder lie together."""

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps
from matplotlib.figure import Figure
from sklearn.manifold import TSNE

from earshot_training.iterate.probe_files import ProbedClips

MAP_SEED = 0
NEIGHBOURHOOD = 30
MAX_LEGEND_ROWS = 25
MARKERS = "o^sDv"
COLOURS_PER_MARKER = 20


def draw_embedding_map(probed: ProbedClips, *, iteration: int) -> Figure:
    """Draw the clips' embeddings in two dimensions (t-SNE, seeded), coloured by class.

    With more classes than colours the shape of the mark tells them apart as well.
    """
    places = place_embeddings(probed.clip_embeddings)
    columns = -(-len(probed.class_names) // MAX_LEGEND_ROWS)
    figure = Figure(figsize=(6 + 2 * columns, 6), layout="constrained")
    axis = figure.subplots()
    palette = colormaps["tab20"]
    for index, name in enumerate(probed.class_names):
        of_class = places[probed.class_ids == index]
        marker = MARKERS[index // COLOURS_PER_MARKER % len(MARKERS)]
        colour = palette(index % COLOURS_PER_MARKER)
        axis.scatter(
            of_class[:, 0], of_class[:, 1], s=14, marker=marker, color=colour, label=str(name)
        )
    axis.set_title(f"Clip embeddings of encoder {iteration} (t-SNE, no units)", fontsize="medium")
    axis.set_xticks([])
    axis.set_yticks([])
    figure.legend(loc="outside right upper", fontsize="x-small", ncols=columns)
    return figure


def place_embeddings(embeddings: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """(clips, D) -> (clips, 2) by t-SNE from a PCA start."""
    neighbourhood = min(NEIGHBOURHOOD, max(1, (len(embeddings) - 1) // 3))
    tsne = TSNE(perplexity=neighbourhood, init="pca", random_state=MAP_SEED)
    places: npt.NDArray[np.float32] = tsne.fit_transform(embeddings)
    return places
