"""What the Hub's client raises, by the names that `fetch_weights.py` imports. The stand-in raises none of them."""


class RepositoryNotFoundError(Exception):
    """There is no such repository for this token."""


class GatedRepoError(RepositoryNotFoundError):
    """The repository wants its licence accepted first."""


class RevisionNotFoundError(Exception):
    """The repository has no such commit."""
