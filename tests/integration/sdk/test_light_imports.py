"""The SDK loads nothing that the application did not load itself."""

from __future__ import annotations

import subprocess
import sys

HEAVY = ("tritonclient", "openai", "numpy", "grpc", "gevent", "confluent_kafka")


def test_neither_the_sdk_nor_its_wrappers_load_what_they_wrap() -> None:
    check = (
        "import inferwatch, sys\n"
        "assert 'inferwatch.wrappers' not in sys.modules\n"
        "import inferwatch.wrappers\n"
        f"loaded = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "assert not loaded, loaded"
    )
    subprocess.run([sys.executable, "-c", check], check=True)


def test_a_package_that_is_missing_is_named() -> None:
    check = (
        "import sys\n"
        "sys.modules['openai'] = None\n"
        "from inferwatch.wrappers import UnknownClientError, wrap_openai\n"
        "from inferwatch import Mirror\n"
        "try:\n"
        "    wrap_openai(object(), Mirror('unused:1'))\n"
        "except UnknownClientError as error:\n"
        "    assert str(error).endswith('openai is not installed: pip install openai'), error\n"
        "else:\n"
        "    raise AssertionError('nothing was raised')"
    )
    subprocess.run([sys.executable, "-c", check], check=True)
