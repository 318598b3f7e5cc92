"""The only package that talks to the API server; it knows nothing of models.

    credentials -> transport -> client -> informer -> (store) -> workqueue
                                       -> recorder

Objects are plain dicts as the API server sends them: typed models cost seven times the time and four times the memory.
"""
