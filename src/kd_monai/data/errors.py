"""One error for everything that is wrong with a data set."""

from collections.abc import Sequence

MAX_LISTED = 20


class DataError(ValueError):
    """All problems of a data set in one message: a line each, naming subject, file and remedy, the first 20 in full."""

    def __init__(self, problems: Sequence[str] | str) -> None:
        self.problems = (problems,) if isinstance(problems, str) else tuple(problems)
        listed = self.problems[:MAX_LISTED]
        hidden = len(self.problems) - len(listed)
        if len(self.problems) == 1:
            super().__init__(self.problems[0])
            return
        lines = [f"{len(self.problems)} problems in the data:", *(f"  - {problem}" for problem in listed)]
        if hidden:
            lines.append(f"  ... and {hidden} more; mend these and start again to see the rest")
        super().__init__("\n".join(lines))
