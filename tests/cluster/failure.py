"""What went wrong, in a sentence that tells the user what to do about it."""


class ClusterFailure(RuntimeError):
    """The command line prints the message and nothing else; in a test it fails the test."""
