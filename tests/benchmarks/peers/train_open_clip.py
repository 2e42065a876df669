"""open_clip's SigLIP: a timm image tower with attention pooling, and open_clip's own text tower and loss."""

import functools
import math

import open_clip
import protocol
import timm
import torch
import torch_step
from timm.models.vision_transformer import VisionTransformer


def main() -> None:
    work = protocol.case()
    torch.manual_seed(0)
    model = siglip(work)
    called = torch.compile(model) if work.compiled else model
    siglip_loss = open_clip.loss.SigLipLoss()

    def loss_of(pixels: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        return siglip_loss(*called(pixels, tokens))

    step = torch_step.make(work, model, loss_of)
    software = f"open_clip {open_clip.__version__}, timm {timm.__version__}, torch {torch.__version__}"
    protocol.run(work, step, torch_step.size(model), software)


def siglip(work: protocol.Case) -> torch.nn.Module:
    """A model of any size; open_clip's configurations name image towers of fixed sizes."""

    @timm.models.register_model
    def peer_vit(pretrained: bool = False, **arguments: object) -> VisionTransformer:
        # As timm's vit_base_patch16_siglip_224.
        return VisionTransformer(
            img_size=work.image_size,
            patch_size=work.patch,
            embed_dim=work.image_width,
            depth=work.image_depth,
            num_heads=work.image_heads,
            mlp_ratio=work.image_mlp / work.image_width,
            class_token=False,
            global_pool="map",
            num_classes=0,
            act_layer=functools.partial(torch.nn.GELU, approximate="tanh"),
        )

    image = {
        "image_size": work.image_size,
        "timm_model_name": "peer_vit",
        "timm_pool": "map",
        "timm_proj": "none",
    }
    text = {  # as open_clip's ViT-B-16-SigLIP
        "context_length": work.text_length,
        "vocab_size": work.vocabulary,
        "width": work.text_width,
        "heads": work.text_heads,
        "layers": work.text_depth,
        "mlp_ratio": work.text_mlp / work.text_width,
        "no_causal_mask": True,
        "proj_bias": True,
        "pool_type": "last",
        "norm_kwargs": {"eps": 1e-6},
        "act_kwargs": {"approximate": "tanh"},
    }
    return open_clip.CustomTextCLIP(
        embed_dim=work.image_width,
        vision_cfg=image,
        text_cfg=text,
        init_logit_scale=math.log(work.logit_scale),
        init_logit_bias=work.logit_bias,
    )


if __name__ == "__main__":
    main()
