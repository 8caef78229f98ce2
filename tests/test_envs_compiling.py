from __future__ import annotations

from typing import Any

from robolearn.envs.compiling import compiled


def test_code_that_can_be_cached_nowhere_is_compiled_all_the_same() -> None:
    namespace: dict[str, Any] = {}
    exec(compile("def double(x):\n    return 2.0 * x\n", "<nowhere>", "exec"), namespace)
    assert compiled(namespace["double"])(1.5) == 3.0
