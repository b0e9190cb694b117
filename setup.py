"""Packaging. Package names are listed by hand: the twistd plugin lives in Twisted's own namespace, where automatic
discovery either misses it or shadows Twisted; and a ``package_dir`` makes editable installs show the plugin."""

from pathlib import Path

from setuptools import setup

HERE = Path(__file__).parent
VERSION = next(
    line.split('"')[1]
    for line in (HERE / "chatmock" / "__init__.py").read_text("utf-8").splitlines()
    if line.startswith("__version__")
)

setup(
    name="chatmock",
    version=VERSION,
    description="One daemon on your LAN that answers OpenAI clients from your own AI accounts",
    long_description=(HERE / "README.md").read_text("utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    license_files=["LICENSE"],
    python_requires=">=3.11",
    package_dir={"": "."},
    packages=[
        "chatmock",
        "chatmock.admission",
        "chatmock.dialects",
        "chatmock.kept_answers",
        "chatmock.keys",
        "chatmock.login",
        "chatmock.openapi",
        "chatmock.providers",
        "chatmock.providers.chatgpt",
        "chatmock.providers.demo",
        "chatmock.providers.qwen",
        "chatmock.settings",
        "chatmock.tls",
        "twisted.plugins",
    ],
    package_data={"chatmock": ["py.typed"]},
    install_requires=[
        "attrs >= 24.2",
        "autobahn >= 26.10",
        "cryptography >= 46",
        "klein >= 24.8",
        "msgspec >= 0.20",
        "prometheus-client >= 0.22",
        "pyopenssl >= 26.0",
        "service-identity >= 24.1",
        "treq >= 25.5",
        "twisted[tls] >= 26.10",
    ],
    extras_require={
        "dev": [
            "anthropic >= 2.12",
            "build >= 1.2",
            "hypothesis >= 6.100",
            "jsonschema[format] >= 4.23",
            "mypy >= 1.15",
            "mypy-zope >= 1.0.9",
            "ollama >= 0.6",
            "openai[realtime] >= 3.0",
            "pytest >= 8.3",
            "pytest-twisted >= 1.14",
            "pytest-xdist >= 3.6",
            "ruff >= 0.9",
            "trustme >= 1.2",
        ],
    },
    entry_points={"console_scripts": ["chatmock = chatmock.cli:entry"]},
    classifiers=[
        "Framework :: Twisted",
        "Programming Language :: Python :: 3 :: Only",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Typing :: Typed",
    ],
)
