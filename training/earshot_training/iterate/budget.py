"""What a call of the loop may use: steps, minutes, and whether it was told to stop."""

import time
from collections.abc import Callable

from earshot_training.errors import UserError


class Budget:
    """Counts the optimizer steps of one call over all its stages, and watches the clock.

    Args:
        max_steps: optimizer steps of this call; None: any number.
        max_minutes: of this call; None: any time.
        is_stop_asked: asked after every step and between stages.
        clock: monotonic seconds.

    """

    def __init__(
        self,
        *,
        max_steps: int | None = None,
        max_minutes: float | None = None,
        is_stop_asked: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        for name, limit in (("max_steps", max_steps), ("max_minutes", max_minutes)):
            if limit is not None and limit <= 0:
                raise UserError(f"expected {name} above 0, got {limit}")
        self._steps_left = max_steps
        self._clock = clock
        self._end = None if max_minutes is None else clock() + 60 * max_minutes
        self._is_stop_asked = is_stop_asked

    def is_spent(self) -> bool:
        """Nothing more may be begun."""
        is_late = self._end is not None and self._clock() >= self._end
        return is_late or self._steps_left == 0 or self._is_stop_asked()

    def count_step(self) -> bool:
        """Count one step that is done; answers whether it was the last."""
        if self._steps_left is not None:
            self._steps_left -= 1
        return self.is_spent()
