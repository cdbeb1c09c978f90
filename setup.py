"""Installs the package with pip; the single list of dependencies.

ROS 2 workspaces build with colcon instead (`CMakeLists.txt`) and take only the dependencies below.
"""

from glob import glob

from setuptools import find_packages, setup

NAME = "semantic_field_ros"
SHARE = f"share/{NAME}"

REQUIRED = [
    "cyclonedds>=11,<12",
    "numba>=0.60",
    "numpy>=1.26",
    "open3d>=0.19",
    "open_clip_torch>=2.24",
    "opencv-python-headless>=4.9",
    "pillow>=10",
    "psutil",
    "pyyaml",
    "rich>=13",
    "rosbags>=0.11,<0.12",
    "safetensors>=0.4",
    "scipy>=1.11",
    "segment-anything>=1.0",
    "tbb; platform_machine == 'x86_64'",
    "torch>=2.5",
    "torchvision>=0.20",
    "viser>=1.1,<2",
]

EXTRAS = {
    # No registry package: it is built against the CUDA toolkit of the machine.
    "gpu": [
        "tinycudann @ git+https://github.com/NVlabs/tiny-cuda-nn/#subdirectory=bindings/torch"
    ],
    "test": [
        "hypothesis>=6.100",
        "mypy>=2.4,<3",
        "pytest>=8",
        "pytest-timeout>=2.3",
        "ruff>=0.17,<0.18",
        "types-PyYAML",
    ],
}

setup(
    name=NAME,
    version="0.1.0",
    description="Ask a robot's surroundings questions: semantic neural fields on ROS 2",
    python_requires=">=3.10",
    packages=find_packages(include=[NAME, f"{NAME}.*"]),
    package_data={f"{NAME}.models.tiny": ["weights/*"]},
    # Beside the code in a checkout; under the prefix of the environment once installed.
    data_files=[
        (f"{SHARE}/{folder}", sorted(glob(f"{folder}/*.*")))
        for folder in ("msg", "srv", "config", "launch")
    ],
    install_requires=REQUIRED,
    extras_require=EXTRAS,
    entry_points={"console_scripts": ["semantic-field = semantic_field_ros.cli:main"]},
)
