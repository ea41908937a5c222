"""A model folder read back: the same model, ready to be trained further."""

import dataclasses
import json
from pathlib import Path

import pytest
import torch

from earshot_training.cli import main
from earshot_training.config import EncoderConfig, FbankStatistics, to_dict
from earshot_training.export.exported_artefact import read_exported_artefact
from earshot_training.export.model_folder import write_model_folder
from earshot_training.export.parity import noise_waveforms
from earshot_training.model.artefact import Artefact, load_artefact
from earshot_training.model.beats import Beats
from tests.make_tiny_model import tiny_artefact

# A patch embedding of another width, so that its second projection is there, too.
CONFIG = EncoderConfig(
    patch_dim=24, dim=32, ffn_dim=64, layers=2, heads=4, conv_pos_kernel=16, conv_pos_groups=4
)


# Position kernels of 32 channels a group are exported as spectra, hidden layers of 1024 columns
# with some to spare.
WIDE_CONFIG = EncoderConfig(
    patch_dim=64, dim=64, ffn_dim=1024, layers=1, heads=4, conv_pos_kernel=16, conv_pos_groups=2
)


CONVOLUTIONS_CONFIG = dataclasses.replace(CONFIG, convolution_width=2)


def trained_artefact(config: EncoderConfig = CONFIG) -> Artefact:
    """Draw every weight, those too that a new model has at 0 or 1."""
    generator = torch.Generator().manual_seed(1)
    model = Beats(config, num_labels=527).eval()
    for parameter in model.parameters():
        drawn = torch.randn(parameter.shape, generator=generator)
        parameter.data = 0.2 * drawn + parameter.data
    for name, buffer in model.named_buffers():
        if name.endswith(("running_mean", "running_var")):
            buffer += torch.rand(buffer.shape, generator=generator)
    training = {"config": {"encoder": to_dict(config), "fbank": to_dict(FbankStatistics())}}
    return dataclasses.replace(tiny_artefact(), model=model, training=training)


def export(artefact: Artefact, out: Path) -> Path:
    write_model_folder(
        out,
        artefact,
        name="tiny",
        revision="1",
        license="MIT",
        description="A test.",
        parity_waveforms=noise_waveforms()[:1],
    )
    return out


@pytest.mark.parametrize("config", [CONFIG, WIDE_CONFIG, CONVOLUTIONS_CONFIG])
def test_what_was_exported_comes_back(tmp_path: Path, config: EncoderConfig):
    artefact = trained_artefact(config)
    folder = export(artefact, tmp_path / "model")
    assert main(["import-model", str(folder), "--out", str(tmp_path / "back")]) == 0
    back = load_artefact(tmp_path / "back")
    assert back.labels == artefact.labels
    assert (back.kind, back.activation) == (artefact.kind, artefact.activation)
    waveforms, num_samples = torch.randn(2, 30_000) * 0.1, torch.tensor([30_000, 12_000])
    with torch.no_grad():
        before = artefact.model(waveforms, num_samples)
        after = back.model(waveforms, num_samples)
    torch.testing.assert_close(after.row_logits, before.row_logits, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(after.clip_embedding, before.clip_embedding, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("config", [CONFIG, CONVOLUTIONS_CONFIG])
def test_exporting_again_gives_the_same_weights(tmp_path: Path, config: EncoderConfig):
    first = read_exported_artefact(export(trained_artefact(config), tmp_path / "first"))
    second = read_exported_artefact(export(first, tmp_path / "second"))
    for name, weight in first.model.state_dict().items():
        torch.testing.assert_close(second.model.state_dict()[name], weight, atol=1e-6, rtol=1e-6)


def test_a_graph_of_another_network_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture):
    folder = export(trained_artefact(), tmp_path / "model")
    card = json.loads((folder / "model.json").read_text())
    card["training"]["config"]["encoder"]["dim"] = 64
    (folder / "model.json").write_text(json.dumps(card))
    assert main(["import-model", str(folder), "--out", str(tmp_path / "back")]) == 2
    assert (
        "expected patch_embed.project.weight as (64, 24), got (32, 24)" in capsys.readouterr().err
    )
    assert not (tmp_path / "back").exists()


def test_a_model_that_does_not_say_what_it_is_is_refused(tmp_path: Path):
    folder = export(tiny_artefact(), tmp_path / "model")
    arguments = ["import-model", str(folder), "--out", str(tmp_path / "back")]
    assert main(arguments) == 2
    assert main(["import-model", str(tmp_path), "--out", str(tmp_path / "back")]) == 2
