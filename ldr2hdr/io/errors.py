"""The one exception type of the package: a picture that cannot be read or written."""


class ImageError(ValueError):
    """A picture is missing, broken, of the wrong kind or cannot be stored.

    The message names the file, what was expected and what came.
    """
