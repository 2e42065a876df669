"""Hugging Face transformers' SigLIP."""

import math

import protocol
import torch
import torch_step
import transformers
from transformers import SiglipConfig, SiglipModel


def main() -> None:
    work = protocol.case()
    model = siglip(work)
    called = torch.compile(model) if work.compiled else model

    def loss_of(pixels: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        return called(input_ids=tokens, pixel_values=pixels, return_loss=True).loss

    step = torch_step.make(work, model, loss_of)
    software = f"transformers {transformers.__version__}, torch {torch.__version__}"
    protocol.run(work, step, torch_step.size(model), software)


def siglip(work: protocol.Case) -> SiglipModel:
    """A new model."""
    torch.manual_seed(0)
    config = SiglipConfig(
        text_config={
            "vocab_size": work.vocabulary,
            "hidden_size": work.text_width,
            "intermediate_size": work.text_mlp,
            "num_hidden_layers": work.text_depth,
            "num_attention_heads": work.text_heads,
            "max_position_embeddings": work.text_length,
            "projection_size": work.image_width,
            "bos_token_id": None,  # the ids that the configuration has by default lie outside a small vocabulary
            "eos_token_id": None,
            "pad_token_id": None,
        },
        vision_config={
            "hidden_size": work.image_width,
            "intermediate_size": work.image_mlp,
            "num_hidden_layers": work.image_depth,
            "num_attention_heads": work.image_heads,
            "image_size": work.image_size,
            "patch_size": work.patch,
        },
    )
    model = SiglipModel(config)
    torch.nn.init.constant_(model.logit_scale, math.log(work.logit_scale))
    torch.nn.init.constant_(model.logit_bias, work.logit_bias)
    return model


if __name__ == "__main__":
    main()
