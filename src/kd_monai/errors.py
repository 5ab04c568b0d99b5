"""What is wrong with a user's input, said in one message."""


class UserError(ValueError):
    """A mistake that the user can mend: the rule, what was got, the remedy, and the file or key.

    A command prints it without a traceback and ends with status 2, as it does with what the operating system refuses
    (`OSError`). Every other exception keeps its traceback: it may be the user's own term that is wrong.
    """
